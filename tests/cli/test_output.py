"""What is printed where: colours only for people, imports only when they are needed."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from shipit.cli.common import Format
from shipit.cli.documents import history_text, plan_document, plan_text, status_text
from shipit.cli.output import listener_for, paint, share_text
from shipit.events import Ended, GateSpoke, GateWord, Note, Progress, Shifted, Started, StepBegan, parse_event
from shipit.model import Ending, Exposure, Mood, Observed
from shipit.release.plan import plan
from shipit.release.policy import Policy
from shipit.standing import Standing
from tests.cli.shell import Shell, shell
from tests.fakes.cloud import START
from tests.release.sights import NOW, fleet, goal, parked, seen

__all__ = ["shell"]

COMMON: dict[str, Any] = {"at": START, "app": "hello", "env": "production"}
EVENTS = [
    Started(**COMMON, command="release", version="v1", commit="c" * 40),
    StepBegan(**COMMON, step="BakeImage", sentence="bake an image of v1"),
    Progress(**COMMON, step="AwaitHealthy", reason="1 of 2 healthy"),
    Shifted(**COMMON, split={"v1": 95.0, "v2": 5.0}),
    Note(**COMMON, text="failed: i-1 is gone"),
    GateSpoke(**COMMON, gate="errors", mood=Mood.BAD, reason="9 of 300 failed", percent=5.0),
    Ended(**COMMON, command="release", ending=Ending.FAILED_CLEAN, version="v1", reason="sick", serving={"v0": 100.0}),
]
LOADED = """
import sys
sys.argv = ["shipit", *sys.argv[1:]]
from shipit.cli.main import main
try:
    main()
except SystemExit as left:
    assert not left.code, left.code
print("\\n".join(sorted(sys.modules)), file=sys.stderr)
"""
HEAVY = ("boto3", "botocore", "jinja2", "pydantic", "ruamel", "moto", "asyncssh", "shipit.sandbox.", "shipit.aws.")


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["release", "--help"], ["sandbox", "up", "--help"]], ids=" ".join
)
def test_help_and_version_import_nothing_heavy(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", LOADED, *words], capture_output=True, text=True, check=True)
    loaded = done.stderr.splitlines()
    assert [name for name in loaded if f"{name}.".startswith(HEAVY) and not name.startswith("shipit.aws.errors")] == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


COLOURS = [
    ("a terminal", Terminal(), {}, True),
    ("a pipe", io.StringIO(), {}, False),
    ("a terminal and NO_COLOR", Terminal(), {"NO_COLOR": "1"}, False),
    ("a terminal and NO_COLOR empty", Terminal(), {"NO_COLOR": ""}, True),
    ("a pipe and FORCE_COLOR", io.StringIO(), {"FORCE_COLOR": "1"}, True),
]


@pytest.mark.parametrize(
    ("stream", "variables", "painted"), [case[1:] for case in COLOURS], ids=[c[0] for c in COLOURS]
)
def test_colours_are_for_terminals(shell: Shell, stream: io.StringIO, variables: dict[str, str], painted: bool) -> None:
    for name, value in variables.items():
        shell.monkeypatch.setenv(name, value)
    assert ("\x1b[" in paint("text", "red", stream)) is painted


def test_a_pipe_has_no_colour_codes(shell: Shell) -> None:
    for words in (["release"], ["--help"], ["status", "--env", "sandbox"], ["release", "v1", "--canary", "5%"]):
        assert "\x1b" not in shell.process(*words, SHIPIT_SANDBOX="not-up").all


def test_colours_can_be_forced_into_a_pipe(shell: Shell) -> None:
    assert "\x1b[31m" in shell.process("release", FORCE_COLOR="1").err


def test_json_is_one_event_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    hear = listener_for(Format.JSON)
    for event in EVENTS:
        hear(event)
    lines = capsys.readouterr().out.splitlines()
    assert [parse_event(line) for line in lines] == EVENTS


def test_people_read_one_line_per_event_and_how_it_ended(capsys: pytest.CaptureFixture[str]) -> None:
    hear = listener_for(Format.HUMAN)
    for event in EVENTS:
        hear(event)
    out = capsys.readouterr().out
    assert "release v1 (cccccccccccc) of hello in production" in out
    assert "traffic: v1 95 %, v2 5 %" in out
    assert "release v1: failed_clean" in out
    assert "why: sick" in out
    assert "serving now: v0 100 %" in out


def test_the_bake_is_folded_in_ci(shell: Shell) -> None:
    shell.monkeypatch.setenv("GITHUB_ACTIONS", "true")
    hear = listener_for(Format.HUMAN)
    for event in EVENTS:
        hear(event)
    out = shell.capsys.readouterr().out
    assert out.index("::group::") < out.index("::endgroup::") < out.index("traffic:")


def test_nothing_serving_is_said_in_words() -> None:
    assert share_text({}) == "nothing"


def test_a_history_without_entries_says_so() -> None:
    assert history_text([]) == "no history yet"


def test_a_history_has_one_line_per_command() -> None:
    assert len(history_text([EVENTS[-1], EVENTS[-1]]).splitlines()) == 3  # type: ignore[list-item]


def test_a_history_tells_what_the_gates_said_at_each_share() -> None:
    good, bad = GateWord("errors", 5.0, Mood.GOOD, "1 of 1200 failed"), GateWord("errors", 50.0, Mood.BAD, "worse")
    ended = replace(cast(Ended, EVENTS[-1]), gates=(good, bad))
    lines = history_text([ended, ended]).splitlines()
    assert len(lines) == 7
    assert [line.strip() for line in lines[2:4]] == ["at 5 %  ✓ errors: 1 of 1200 failed", "at 50 %  ✗ errors: worse"]


def test_a_plan_as_json_has_the_same_steps_as_the_text() -> None:
    import json

    observed = seen(fleet("v1"), split={"v1": 100})
    wanted = goal("v2", observed)
    told = plan(wanted, observed, NOW, Policy())
    document = json.loads(plan_document(wanted, told))
    assert document["version"] == "v2"
    for row in (*document["ship"], *document["tidy"]):
        assert set(row) == {"step", "fleet", "sentence"}
        assert row["sentence"] in plan_text(wanted, told)


def shop_that_sees(observed: Observed) -> Any:
    engine = SimpleNamespace(look=lambda all_health=False: observed)
    config = SimpleNamespace(app="hello", env="production")
    record = SimpleNamespace(history=lambda limit: (), read=Standing)
    images, clock = SimpleNamespace(all=list), SimpleNamespace(now=lambda: NOW)
    return cast(Any, SimpleNamespace(engine=engine, config=config, record=record, images=images, clock=clock))


def test_the_status_of_an_empty_account_says_what_to_type() -> None:
    assert "shipit release REF" in status_text(shop_that_sees(seen(vacant=True)))


def test_the_status_of_a_canary_names_both_versions() -> None:
    green = fleet("v2", exposure=Exposure.SOME)
    text = status_text(shop_that_sees(seen(fleet("v1"), green, split={"v1": 95, "v2": 5})))
    assert "v1 95 %, v2 5 %" in text


def test_the_status_of_one_version_in_two_fleets_adds_up() -> None:
    from dataclasses import replace

    twin = replace(fleet("v1", launch_digest="d2", exposure=Exposure.SOME), name="hello-twin")
    observed = seen(fleet("v1"), twin, split={"v1": 95, "twin": 5})
    assert "v1 100 %" in status_text(shop_that_sees(observed))


def test_the_status_warns_of_a_fleet_that_serves_and_is_about_to_shrink() -> None:
    observed = seen(parked("v1", minutes=10), fleet("v2"), split={"v1": 100, "v2": 0})
    text = status_text(shop_that_sees(observed))
    assert "hello-v1 serves, AND AUTO SCALING ENDS ITS INSTANCES AT" in text
    assert "shipit resume" in text
    assert "parked for" not in text
