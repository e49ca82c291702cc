"""Each verdict of each gate that does not compare two versions."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from shipit import naming
from shipit.errors import CloudError, Refused
from shipit.gate import Facts, Gate, Opinion
from shipit.gates import alarms, command, errors, latency, probe, threshold
from shipit.model import Mood
from shipit.ports import Alarm
from tests.gates.canaries import BLUE, GREEN, NOON, TOKEN, Setting, facts

OK, RED, BLIND = Alarm("errors", "OK"), Alarm("errors", "ALARM", "9 > 5"), Alarm("errors", "INSUFFICIENT_DATA")


def alarm_gate(*known: Alarm, **settings: str) -> alarms.Alarms:
    setting = Setting()
    setting.metrics.known = {alarm.name: alarm for alarm in known}
    return alarms.Alarms(alarms.Settings(names=("errors",), **settings), setting.metrics)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("known", "settings", "mood", "reason"),
    [
        (OK, {}, Mood.GOOD, "1 alarms are silent"),
        (RED, {}, Mood.BAD, "errors is in alarm: 9 > 5"),
        (BLIND, {}, Mood.GOOD, "errors has no data"),
        (BLIND, {"no_data": "fail"}, Mood.BAD, "errors has no data"),
        (Alarm("errors", "OK", complete=False), {"no_data": "fail"}, Mood.BAD, "errors has no data"),
        (Alarm("other", "OK"), {}, Mood.BAD, "errors cannot be seen any more"),
    ],
)
def test_alarms(known: Alarm, settings: dict[str, str], mood: Mood, reason: str) -> None:
    opinion = alarm_gate(known, **settings).judge(facts(10))
    assert (opinion.mood, opinion.reason, opinion.settled) == (mood, reason, False)


def test_silent_alarms_say_nothing_before_they_can_have_seen_the_share() -> None:
    gate = alarm_gate(Alarm("errors", "OK", window_seconds=300))
    assert gate.judge(facts(5.9)).mood is Mood.NOT_YET
    assert gate.knows_after_seconds == 360
    assert gate.judge(facts(6)).mood is Mood.GOOD
    assert alarm_gate(RED).judge(facts()).mood is Mood.BAD, "one that is in alarm is not waited for"


def test_a_misspelt_alarm_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(Refused, match="no alarm 'errors'") as refused:
        alarm_gate(Alarm("error", "OK")).check()
    assert refused.value.why == "did you mean 'error'?"


def test_an_alarm_that_is_in_alarm_already_refuses_the_release() -> None:
    with pytest.raises(Refused, match="in alarm already"):
        alarm_gate(RED).check()
    alarm_gate(OK).check()


METRIC = {
    "m": {"namespace": "AWS/ApplicationELB", "name": "TargetResponseTime", "dimensions": {"TargetGroup": "{green}"}}
}


def threshold_gate(setting: Setting, **settings: object) -> threshold.Threshold:
    return threshold.Threshold(threshold.Settings.model_validate({"metrics": METRIC, **settings}), setting.metrics)


@pytest.mark.parametrize(
    ("values", "settings", "mood", "reason"),
    [
        ([], {"above": 1}, Mood.NOT_YET, "nothing: no data"),
        ([0.5], {"above": 1}, Mood.GOOD, "0.5: not above 1"),
        ([2], {"above": 1}, Mood.BAD, "2: above 1"),
        ([2, 0.5], {"above": 1}, Mood.GOOD, "0.5: not above 1"),
        ([0.5, 2], {"above": 1, "periods": 2}, Mood.GOOD, "0.5, 2: not above 1"),
        ([2], {"above": 1, "periods": 2}, Mood.NOT_YET, "2, nothing: not enough of it"),
        ([0.5], {"above": 1, "periods": 2}, Mood.GOOD, "0.5, nothing: not above 1"),
        ([2, 3], {"above": 1, "periods": 2}, Mood.BAD, "2, 3: above 1"),
        ([2], {"below": 3}, Mood.BAD, "2: below 3"),
        ([2], {"below": 1, "above": 3}, Mood.GOOD, "2: not above 3 or below 1"),
    ],
)
def test_a_threshold(values: list[float], settings: dict[str, float], mood: Mood, reason: str) -> None:
    setting = Setting()
    setting.metrics.series = {NOON + timedelta(minutes=n): value for n, value in enumerate(values)}
    published = max(len(values), int(settings.get("periods", 1)))
    opinion = threshold_gate(setting, **settings).judge(facts(published + 1))
    assert (opinion.mood, opinion.reason, opinion.settled) == (mood, reason, False)


def test_a_threshold_sees_nothing_of_before_the_shift_nor_what_is_not_complete_yet() -> None:
    setting = Setting()
    setting.metrics.series = {NOON - timedelta(minutes=1): 9, NOON: 9, NOON + timedelta(minutes=1): 0}
    gate, since = threshold_gate(setting, above=1), NOON - timedelta(seconds=30)
    assert gate.judge(facts(2.4, since=since)).reason == "nothing was published yet"
    assert gate.judge(facts(2.6, since=since)).mood is Mood.BAD
    assert gate.judge(facts(3.6, since=since)).mood is Mood.GOOD
    assert gate.judge(facts(9, since=since)).mood is Mood.NOT_YET, "a series that has stopped says nothing any more"


def test_what_cloudwatch_does_not_take_is_found_before_anything_begins() -> None:
    setting = Setting()
    setting.metrics.refuses = CloudError("reading metrics", "ValidationError: p999x")
    checked = (threshold_gate(setting, above=1), errors.gate(errors.Settings(), setting.world))
    for gate in (*checked, latency.gate(latency.Settings(), setting.world)):
        with pytest.raises(CloudError, match="reading metrics"):
            gate.check()


def test_a_threshold_names_the_fleets_in_its_dimensions() -> None:
    setting = Setting()
    threshold_gate(setting, above=1, expression="m * 1000").judge(facts(5))
    ((queries, expression),) = setting.metrics.asked
    assert (queries[0].dimensions, expression) == ({"TargetGroup": f"targetgroup/{GREEN}/1"}, "m * 1000")


@pytest.mark.parametrize("settings", [{}, {"above": 1, "metrics": {**METRIC, "n": METRIC["m"]}}])
def test_a_threshold_without_a_number_or_an_expression_is_wrong(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"give|expression"):
        threshold_gate(Setting(), **settings)


URL = "http://shop.example/healthz"
GOOD = (200, b"fine", 0.01)


def probed(*answers: tuple[int, bytes, float] | Exception, **settings: object) -> tuple[Setting, list[object]]:
    setting = Setting(answers=list(answers))
    gate = probe.gate(probe.Settings(url=URL, **settings), setting.world)  # type: ignore[arg-type]
    return setting, [(o.mood, o.reason, o.settled) for o in (gate.judge(facts()) for _ in answers)]


def test_a_probe_passes_after_some_good_answers_of_green_alone() -> None:
    setting, opinions = probed(GOOD, GOOD, contains="fine", passes=2)
    assert opinions[0] == (Mood.NOT_YET, "1 good answer in a row", False)
    assert opinions[1] == (Mood.GOOD, "2 good answers in a row", True)
    assert setting.requests == [(URL, {naming.PREVIEW_HEADER: TOKEN}, 5.0)] * 2


def test_a_probe_that_would_reach_blue_as_well_does_not_know() -> None:
    setting = Setting(answers=[GOOD])
    gate = probe.gate(probe.Settings(url=URL, passes=1), setting.world)
    assert gate.judge(facts(token="")).mood is Mood.NOT_YET
    assert setting.requests == []


@pytest.mark.parametrize(
    ("answer", "settings", "reason"),
    [
        ((500, b"oh\n no", 0.01), {}, "status 500, not 200: oh no"),
        ((200, b"other", 0.01), {"contains": "fine"}, "no 'fine' in: other"),
        ((200, b"fine", 0.3), {"within_ms": 200}, "it took 300 ms, more than 200"),
        (CloudError("no answer", "refused"), {}, "no answer: refused"),
    ],
)
def test_a_probe_fails_after_some_bad_answers_in_a_row(
    answer: tuple[int, bytes, float] | Exception, settings: dict[str, object], reason: str
) -> None:
    _, opinions = probed(answer, answer, **settings)
    assert opinions == [(Mood.NOT_YET, reason, False), (Mood.BAD, f"{reason} (2 times in a row)", False)]


def test_a_probe_begins_anew_at_each_share() -> None:
    setting = Setting(answers=[GOOD] * 5)
    gate = probe.gate(probe.Settings(url=URL, passes=3), setting.world)
    assert [gate.judge(facts(minutes)).settled for minutes in range(3)] == [False, False, True]
    later = NOON + timedelta(minutes=10)
    assert [gate.judge(facts(0, 25, later)).settled for _ in range(2)] == [False, False]


def test_a_single_bad_answer_is_forgiven() -> None:
    bad = (500, b"", 0.01)
    _, opinions = probed(bad, GOOD, bad, GOOD, GOOD, passes=2)
    assert opinions[-1] == (Mood.GOOD, "2 good answers in a row", True)


def decided(gate: Gate, told: Facts) -> Opinion:
    """What it says once its program has ended."""
    while (opinion := gate.judge(told)).reason == "it is running":
        time.sleep(0.01)
    return opinion


def until_true(probe: Callable[[], bool]) -> None:
    while not probe():
        time.sleep(0.01)


def is_alive(pid: str) -> bool:
    """Not gone, nor dead and not yet buried by process 1."""
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


@pytest.mark.parametrize(
    ("run", "mood", "reason", "settled"),
    [
        ("echo fine", Mood.GOOD, "passed: fine", True),
        ("true", Mood.GOOD, "passed", True),
        ("echo 3 orders; echo too few >&2; exit 75", Mood.NOT_YET, "not yet: too few", False),
        ("echo wrong; exit 1", Mood.BAD, "exit code 1: wrong", False),
        ("./missing", Mood.BAD, "exit code 127: ", False),
        ("sleep 30 & wait", Mood.BAD, "it took too long", False),
    ],
)
def test_a_program_decides(run: str, mood: Mood, reason: str, settled: bool) -> None:
    setting = Setting()
    opinion = decided(command.gate(command.Settings(run=run, timeout_seconds=1), setting.world), facts())
    assert (opinion.mood, opinion.settled) == (mood, settled)
    assert opinion.reason.startswith(reason)


def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started() -> None:
    setting = Setting()
    gate = command.gate(command.Settings(run="sleep 600 & echo $!; wait", timeout_seconds=0.5), setting.world)
    assert decided(gate, facts()).mood is Mood.BAD
    (started,) = setting.notes
    assert not is_alive(started)


def test_a_program_knows_the_canary_and_is_not_asked_again_in_a_stage() -> None:
    setting = Setting()
    run = 'echo "$SHIPIT_APP $SHIPIT_ENV $SHIPIT_VERSION $SHIPIT_FLEET $SHIPIT_OLD_FLEET $SHIPIT_PERCENT $SHIPIT_SINCE"'
    gate = command.gate(command.Settings(run=run), setting.world)
    for minutes in (0, 1):
        decided(gate, facts(minutes))
    assert setting.notes == [f"shop live v2 {GREEN} {BLUE} 5 2026-01-01T12:00:00+00:00"]
    decided(gate, facts(0, 25, NOON + timedelta(minutes=5)))
    assert len(setting.notes) == 2


def test_a_program_is_not_waited_for_and_ends_with_its_stage() -> None:
    setting = Setting()
    gate = command.gate(command.Settings(run="echo $$; sleep 600 & wait"), setting.world)
    assert (gate.judge(facts()).reason, gate.every_seconds) == ("it is running", 0)
    until_true(lambda: bool(setting.notes))
    gate.judge(facts(0, 25, NOON + timedelta(minutes=5)))
    assert not is_alive(setting.notes[0])
    setting.programs[-1].end()
