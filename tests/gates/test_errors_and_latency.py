from __future__ import annotations

from datetime import timedelta

import pytest

from shipit.counts import Count
from shipit.gate import Gate, Opinion
from shipit.gates import errors, latency
from shipit.model import Mood
from tests.gates.canaries import BLUE, GREEN, NOON, Setting, facts

HOUR = timedelta(hours=1)


def traffic(setting: Setting, what: str, green_bad: float, green: float = 300, minutes: int = 40) -> None:
    setting.metrics.steady(what, BLUE, NOON - HOUR, 60 + minutes, 5700, 6)
    setting.metrics.steady(what, GREEN, NOON, minutes, green, green_bad)


def watched(gate: Gate, minutes: int, percent: int = 5) -> list[Opinion]:
    """What it says every half minute."""
    return [gate.judge(facts(half / 2, percent)) for half in range(2 * minutes + 1)]


def test_a_version_that_fails_more_is_sent_home() -> None:
    setting = Setting()
    traffic(setting, "failed", green_bad=6)
    opinions = watched(errors.gate(errors.Settings(), setting.world), 10)
    assert opinions[-1].mood is Mood.BAD
    assert "worse by more than the tolerated 0.5 %" in opinions[-1].reason
    first = next(n for n, opinion in enumerate(opinions) if opinion.mood is Mood.BAD)
    assert all(opinion.mood is Mood.BAD for opinion in opinions[first:])


def test_a_version_that_does_not_answer_is_sent_home() -> None:
    setting = Setting()
    traffic(setting, "failed", green_bad=0)
    for minute in range(40):
        setting.metrics.failed[GREEN][NOON + timedelta(minutes=minute)] = Count(300, 0, unanswered=20)
    opinions = watched(errors.gate(errors.Settings(), setting.world), 10)
    assert opinions[-1].mood is Mood.BAD


def test_answers_that_come_a_minute_later_are_no_failures() -> None:
    setting = Setting()
    traffic(setting, "failed", green_bad=0)
    for minute in range(40):
        behind = 15 if minute % 2 else -15
        setting.metrics.failed[GREEN][NOON + timedelta(minutes=minute)] = Count(300, 0, unanswered=behind)
    opinions = watched(errors.gate(errors.Settings(), setting.world), 20)
    assert opinions[-1].mood is Mood.GOOD
    assert "green 0 of " in opinions[-1].reason


def test_a_minute_that_is_not_wholly_published_is_waited_for() -> None:
    setting = Setting()
    traffic(setting, "failed", green_bad=0, minutes=30)
    third = NOON + timedelta(minutes=3)
    whole = setting.metrics.failed[GREEN][third]
    gate = errors.gate(errors.Settings(), setting.world)
    setting.metrics.failed[GREEN][third] = Count(300, 0, unanswered=300)
    assert "of 600 failed" in gate.judge(facts(6)).reason
    setting.metrics.failed[GREEN][third] = whole
    assert "0 of 1200 failed" in gate.judge(facts(6.5)).reason


def test_what_stays_unpublished_is_taken_as_it_is() -> None:
    setting = Setting()
    traffic(setting, "failed", green_bad=0, minutes=30)
    for minute in range(3, 30):
        setting.metrics.failed[GREEN][NOON + timedelta(minutes=minute)] = Count(300, 0, unanswered=300)
    gate = errors.gate(errors.Settings(), setting.world)
    assert gate.judge(facts(7)).mood is Mood.NOT_YET
    assert gate.judge(facts(10)).mood is Mood.BAD


def test_an_equal_version_settles_it_early() -> None:
    setting = Setting()
    traffic(setting, "failed", green_bad=0)
    opinions = watched(errors.gate(errors.Settings(), setting.world), 15)
    assert (opinions[-1].mood, opinions[-1].settled) == (Mood.GOOD, True)
    assert "worse by at most" in opinions[-1].reason
    assert opinions[-1].reason.endswith("green got 5 % of the requests")


@pytest.mark.parametrize("green", [0, 1])
def test_no_traffic_is_not_known_and_never_a_yes(green: float) -> None:
    setting = Setting()
    traffic(setting, "failed", green_bad=0, green=green)
    opinions = watched(errors.gate(errors.Settings(), setting.world), 30)
    assert {opinion.mood for opinion in opinions} == {Mood.NOT_YET}
    assert "undecided" in opinions[-1].reason


def test_what_is_not_published_yet_and_the_warm_up_are_left_out() -> None:
    setting = Setting()
    traffic(setting, "failed", green_bad=0)
    setting.metrics.steady("failed", GREEN, NOON, 1, 300, 300)  # the first minute: caches are cold
    gate = errors.gate(errors.Settings(warm_up_seconds=60), setting.world)
    assert gate.judge(facts(2.9)).reason == "nothing was published yet"
    assert "of 300 failed" in gate.judge(facts(3)).reason
    assert watched(errors.gate(errors.Settings(warm_up_seconds=60), setting.world), 15)[-1].mood is Mood.GOOD
    assert watched(errors.gate(errors.Settings(warm_up_seconds=0), setting.world), 15)[-1].mood is Mood.BAD


def test_harm_is_looked_for_over_all_stages_and_safety_is_earned_in_each() -> None:
    setting = Setting()
    traffic(setting, "failed", green_bad=0, minutes=60)
    gate = errors.gate(errors.Settings(), setting.world)
    assert watched(gate, 15)[-1].settled
    later = NOON + timedelta(minutes=20)
    assert gate.judge(facts(0, 50, later)).mood is Mood.NOT_YET
    setting.metrics.steady("failed", GREEN, later, 20, 3000, 90)
    setting.metrics.steady("failed", BLUE, later, 20, 3000, 3)
    assert gate.judge(facts(10, 50, later)).mood is Mood.BAD


def test_at_100_percent_there_is_nothing_to_compare_with() -> None:
    opinion = errors.gate(errors.Settings(), Setting().world).judge(facts(10, 100))
    assert (opinion.mood, opinion.settled) == (Mood.GOOD, False), "a hold at 100 % must not end early by it"
    assert "nothing to compare with" in opinion.reason


def test_a_slow_version_is_sent_home_by_what_was_usual_before() -> None:
    setting = Setting()
    setting.metrics.steady("slow", BLUE, NOON - HOUR, 120, 5700, 285)
    setting.metrics.steady("slow", GREEN, NOON, 60, 300, 60)
    opinions = watched(latency.gate(latency.Settings(), setting.world), 10)
    assert opinions[-1].mood is Mood.BAD
    assert opinions[-1].reason.startswith("slower than 200 ms: green ")
    assert setting.metrics.limits == {0.2}


def test_an_equally_slow_version_passes() -> None:
    setting = Setting()
    setting.metrics.steady("slow", BLUE, NOON - HOUR, 120, 5700, 285)
    setting.metrics.steady("slow", GREEN, NOON, 60, 300, 15)
    assert watched(latency.gate(latency.Settings(), setting.world), 20)[-1].mood is Mood.GOOD


def test_a_limit_can_be_set() -> None:
    setting = Setting()
    setting.metrics.usual_seconds = None
    assert "set slower_than_ms" in latency.gate(latency.Settings(), setting.world).judge(facts(5)).reason
    gate = latency.gate(latency.Settings(slower_than_ms=50), setting.world)
    assert gate.judge(facts(5)).mood is Mood.NOT_YET
    assert setting.metrics.limits == {0.05}
