"""When hooks run, how often, and what their failure means."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from shipit import operations, program
from shipit.errors import Stopped
from shipit.gate import Facts, Judged, NoGates, Opinion
from shipit.hooks import HookFailed, Point, ProgramHooks
from shipit.model import Ending, Mood
from tests.fakes.people import Command, SmallTown, release, resume, retire, rollback, stage


@dataclass
class FakeHooks:
    """Remembers what ran; those in `failing` fail."""

    ran: list[tuple[Point, Mapping[str, str]]] = field(default_factory=list)
    failing: set[Point] = field(default_factory=set)

    def run(self, point: Point, facts: Mapping[str, str]) -> None:
        self.ran.append((point, facts))
        if point in self.failing:
            raise HookFailed(f"hook {point} exited with 1", "relation exists")

    @property
    def points(self) -> list[str]:
        return [point.value for point, _ in self.ran]


@dataclass
class SmokeGates(NoGates):
    """One that tells when it is asked, and passes."""

    asked: Callable[[], None]

    def smoking(self) -> Sequence[str]:
        return ["home"]

    def judge(self, facts: Facts) -> Sequence[Judged]:
        self.asked()
        return [Judged("home", Opinion(Mood.GOOD, "fine", settled=True))]


@pytest.fixture
def hooks() -> FakeHooks:
    return FakeHooks()


@pytest.fixture
def town(hooks: FakeHooks) -> Iterator[SmallTown]:
    """A town that v1 serves."""
    town = SmallTown().served_by("v1")
    town.hooks, town.policy = hooks, replace(town.policy, hooked=True)
    yield town
    town.turns.kill_all()


def test_a_release_runs_them_in_order_and_with_its_facts(town: SmallTown, hooks: FakeHooks) -> None:
    assert town.run(release("v2", "5% 30s, 50% 30s, 100%")).ending is Ending.SUCCEEDED
    assert hooks.points == ["before_bake", "before_traffic", "after_stage", "after_stage", "after_release"]
    assert [facts.get("SHIPIT_PERCENT") for _, facts in hooks.ran] == [None, None, "5", "50", None]
    _, facts = hooks.ran[-1]
    assert (facts["SHIPIT_VERSION"], facts["SHIPIT_ENDING"]) == ("v2", "succeeded")
    v1, v2 = town.cloud.groups
    assert {(facts["SHIPIT_FLEET"], facts["SHIPIT_OLD_FLEET"]) for _, facts in hooks.ran[1:]} == {(v2, v1)}


def test_what_must_come_before_the_first_request_runs_once_per_release(town: SmallTown, hooks: FakeHooks) -> None:
    town.kill(town.begun("v2", "5% 10m, 100%"))
    town.turns.pass_time(75)
    assert town.run(resume()).ending is Ending.SUCCEEDED
    assert hooks.points.count("before_traffic") == 1
    assert hooks.points[-1] == "after_release"


def test_a_rollback_runs_none_before_it_moves_traffic(town: SmallTown, hooks: FakeHooks) -> None:
    town.run(release("v2", "100%"))
    hooks.ran.clear()
    assert town.run(rollback).ending is Ending.SUCCEEDED
    assert hooks.points == ["after_rollback"]


def test_a_rollback_that_is_gone_on_with_is_still_one(town: SmallTown, hooks: FakeHooks) -> None:
    town.run(release("v2", "100%"))
    town.run(retire)
    town.turns.pass_time(60)
    shop = town.begin("ann", lambda shop: operations.rollback(shop, "v1"))
    town.turns.play(lambda: len(town.cloud.groups) == 2)
    town.kill(shop)
    town.turns.pass_time(75)
    hooks.ran.clear()
    assert town.run(resume()).ending is Ending.SUCCEEDED
    assert town.share("v1") == 100
    assert hooks.points == ["after_rollback"]


def test_one_that_is_stopped_after_all_is_done_changes_no_ending(town: SmallTown, hooks: FakeHooks) -> None:
    run = hooks.run

    def stop(point: Point, facts: Mapping[str, str]) -> None:
        run(point, facts)
        if point is Point.AFTER_RELEASE:
            raise Stopped("stopped before the next step", "asked to by a signal", "shipit resume goes on")

    hooks.run = stop  # type: ignore[method-assign]
    assert town.run(release("v2")).ending is Ending.SUCCEEDED
    assert town.record.events[-1].ending is Ending.SUCCEEDED


@pytest.mark.parametrize("point", [Point.BEFORE_BAKE, Point.BEFORE_TRAFFIC, Point.AFTER_STAGE])
def test_one_that_decides_sends_everything_home(town: SmallTown, hooks: FakeHooks, point: Point) -> None:
    hooks.failing = {point}
    ended = town.run(release("v2", "5% 30s, 100%"))
    assert ended.ending is Ending.FAILED_CLEAN
    assert f"hook {point} exited with 1: relation exists" in ended.reason
    assert town.share("v1") == 100
    assert town.versions == ["v1"]
    assert hooks.points[-1] == "on_failure"
    _, facts = hooks.ran[-1]
    assert "relation exists" in facts["SHIPIT_REASON"]


def test_no_request_was_given_before_the_hook_that_comes_before_traffic(town: SmallTown, hooks: FakeHooks) -> None:
    hooks.failing = {Point.BEFORE_TRAFFIC}
    town.run(release("v2", "5% 30s, 100%"))
    assert not [write for write in town.cloud.writes if write.startswith("shift") and "=5" in write]


@pytest.mark.parametrize("command", [release("v2", smoke=True), stage("v2", smoke=True)])
def test_a_smoke_test_comes_after_the_hook(town: SmallTown, hooks: FakeHooks, command: Command) -> None:
    seen: list[list[str]] = []
    town.gates = SmokeGates(lambda: seen.append(hooks.points))
    assert town.run(command).ending is Ending.SUCCEEDED
    assert seen == [["before_bake", "before_traffic"]]
    assert hooks.points.count("before_traffic") == 1


def test_what_turned_sick_while_the_hook_ran_gets_no_request(town: SmallTown, hooks: FakeHooks) -> None:
    run = hooks.run

    def sicken(point: Point, facts: Mapping[str, str]) -> None:
        if point is Point.BEFORE_TRAFFIC:
            town.cloud.sick.add("v2")
        run(point, facts)

    hooks.run = sicken  # type: ignore[method-assign]
    assert town.run(release("v2", "5% 30s, 100%")).ending is Ending.FAILED_CLEAN
    assert not [write for write in town.cloud.writes if write.startswith("shift") and "=5" in write]


def test_an_image_that_exists_needs_no_hook_before_a_bake(town: SmallTown, hooks: FakeHooks) -> None:
    hooks.failing = {Point.BEFORE_TRAFFIC}
    town.run(release("v2"))
    hooks.ran.clear()
    hooks.failing.clear()
    town.run(release("v2"))
    assert "before_bake" not in hooks.points


def start(command: str, facts: Mapping[str, str], said: Callable[[str], None]) -> int | None:
    return program.run(command, {"PATH": "/usr/bin:/bin", **facts}, Path.cwd(), 1.0, said)


def test_a_program_is_told_the_facts_and_its_output_is_noted() -> None:
    notes: list[str] = []
    hooks = ProgramHooks({"before_bake": 'echo "$SHIPIT_VERSION $SHIPIT_HOOK"; echo two >&2'}, start, notes.append)
    hooks.run(Point.BEFORE_BAKE, {"SHIPIT_VERSION": "v2"})
    assert notes == ["before_bake: v2 before_bake", "before_bake: two"]
    hooks.run(Point.BEFORE_TRAFFIC, {})


@pytest.mark.parametrize(("command", "how"), [("echo no; exit 3", "exited with 3"), ("sleep 600", "took too long")])
def test_a_failure_decides_early_and_is_only_noted_late(command: str, how: str) -> None:
    notes: list[str] = []
    hooks = ProgramHooks({"before_bake": command, "after_release": command}, start, notes.append)
    with pytest.raises(HookFailed, match=how):
        hooks.run(Point.BEFORE_BAKE, {})
    hooks.run(Point.AFTER_RELEASE, {})
    assert notes[-1] == f"hook after_release {how}"


def test_a_program_ends_with_all_that_it_started_when_shipit_is_to_stop(tmp_path: Path) -> None:
    lines: list[str] = []

    def stop(_: float) -> None:
        if lines:
            raise Stopped("stopped", "", "")

    with pytest.raises(Stopped):
        program.run("sleep 600 & echo $!; wait", {"PATH": "/usr/bin:/bin"}, tmp_path, 60, lines.append, stop)
    status = Path(f"/proc/{lines[0]}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()


def test_what_has_left_the_session_keeps_nobody_waiting(tmp_path: Path) -> None:
    """An ssh that stays as a master does so, and keeps the pipe open."""
    lines: list[str] = []
    left = "setsid sleep 600 & echo $!"
    try:
        assert program.run(f"{left}; sleep 0.2", {"PATH": "/usr/bin:/bin"}, tmp_path, 60, lines.append) == 0
    finally:
        os.kill(int(lines[0]), signal.SIGKILL)


def test_a_program_runs_in_the_folder_it_is_given(tmp_path: Path) -> None:
    lines: list[str] = []
    assert program.run("pwd", {"PATH": "/usr/bin:/bin"}, tmp_path, 5, lines.append) == 0
    assert lines == [str(tmp_path)]
