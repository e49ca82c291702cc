"""A slice of the crash and fault sweeps of bench/: every kind of step is cut short once, most kinds of faults are met once.

A release that is cut short is gone on with by a command that is cut short at a later step, and so on. The tries of a test
run side by side, each in an environment of its own with load of its own; what is wrong is told by name.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bench.faults import Fault, attempt
from bench.lanes import Tally, Try, work
from bench.scenarios import SCENARIOS, clean
from bench.sites import SICK, configure, sites
from bench.sweep import Site
from shipit.release import steps
from shipit.release.steps import FleetStep, Step
from tests.sandbox.conftest import CAN_RUN

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(not CAN_RUN or not shutil.which("packer"), reason="needs root, HAProxy, iproute2 and Packer"),
    pytest.mark.xdist_group("end_to_end"),
]

RATE = 50
STEERING = ("shift", "promote")
FULLY = ("promote", "--full")


@dataclass(frozen=True)
class Cut:
    """Where a command dies: before or after a call of a kind of step (where it matters, between two writes of it), or with
    0 where the step begins. `words` is the command when it is not the same again, `traffic` settings that it needs.
    """

    step: str
    number: int
    phase: str
    words: tuple[str, ...] = ()
    traffic: Mapping[str, Any] = field(default_factory=dict)


# One after the other in one release, each by the command that goes on with it.
CUTS = {
    "bake": [
        Cut("BakeImage", 1, "after"),
        Cut("AwaitInstances", 1, "before"),
        Cut("Preview", 2, "after"),
        Cut("ShiftTraffic", 2, "after"),
        Cut("MarkServing", 1, "after"),
        Cut("UnpinFleet", 2, "after"),
        Cut("ParkFleet", 1, "after"),
    ],
    "canary": [
        Cut("LaunchFleet", 3, "after"),
        Cut("AwaitHealthy", 2, "after"),
        Cut("BeforeTraffic", 0, "before"),
        Cut("Smoke", 0, "before"),
        Cut("PinFleet", 2, "after"),
        Cut("Hold", 1, "before"),
        Cut("Pause", 1, "before", ("shift", "50")),
        Cut("ClosePreview", 1, "after", FULLY),
    ],
    "retire": [
        Cut("Settle", 0, "before", traffic={"settle_seconds": 3600}),  # so long that it is not over before it begins
        Cut("DrainFleet", 1, "after"),
        Cut("AwaitEmpty", 2, "before"),
    ],
    "failure": [
        Cut("KeepFleet", 1, "after", ("release", SICK, "--keep-failed")),
        # Its fourth call is a write: one that died before any has written down no goal of its own, and is not gone on with.
        Cut("DeleteFleet", 4, "after", ("retire", "--yes")),
    ],
    "sticky": [Cut("ShiftTraffic", 2, "after"), Cut("KeepClients", 2, "before"), Cut("KeepClients", 2, "after")],
    "sticky-rollback": [Cut("LeaveAside", 1, "after")],
    "shrunken": [Cut("UnparkFleet", 1, "after"), Cut("ResizeFleet", 2, "before")],
}
FAULTS = [
    ("canary", Fault("error-after", "autoscaling CreateAutoScalingGroup")),
    ("canary", Fault("error-before", "dynamodb *", nth=4, times=0)),
    ("rollback", Fault("timeout-after", "elasticloadbalancing Modify[LR]*")),
    ("rollback", Fault("expired", "elasticloadbalancing Modify[LR]*", times=0)),
    ("rollback", Fault("denied", "dynamodb *", times=0)),
    ("rollback", Fault("throttle", "autoscaling DeleteScheduledAction", times=0)),
    ("retire", Fault("lag", "autoscaling UpdateAutoScalingGroup")),
]


@pytest.fixture(scope="module")
def here() -> Iterator[Sequence[Site]]:
    with sites(4) as made:
        yield made


def survive(here: Sequence[Site], tries: Iterable[Try]) -> None:
    ready, tally = iter(list(tries)), Tally()
    work(here, lambda: next(ready, None), RATE / len(here), tally)
    assert tally.problems == []
    assert tally.sent > 0


def cut_short(scenario: str, cuts: Sequence[Cut]) -> Callable[[Site], list[str]]:
    """One command after the other dies, and the last one must end as the first one should have."""

    def run(site: Site) -> list[str]:
        case = SCENARIOS[scenario](site)
        smokes = any(cut.step == "Smoke" for cut in cuts)
        gates = {"probe": {"home": {"url": site.url, "passes": 1}}} if smokes else {}
        hooks = {"before_traffic": "echo once"} if smokes else {}
        words = first = (*case.words, "--smoke") if smokes else case.words
        for cut in cuts:
            words = cut.words or words
            if cut.traffic or gates:
                configure(site, gates=gates, hooks=hooks, **cut.traffic)
            done = site.shipit(*words, at=cut.number, phase=cut.phase, step=cut.step)
            configure(site, gates=gates, hooks=hooks)
            if not done.killed:
                steps = [event["step"] for event in done.events if event.get("kind") == "step"]
                return [f"was not killed in {cut.step} but did {', '.join(steps)}: {done}"]
            words = first if words[0] in STEERING else words
        last = site.resume(*words)
        if words != first:
            return case.unlike_before() if last.code == 0 else [str(last)]
        return case.wrong(last) or clean(site, case.serving, time.monotonic())

    return run


def kinds() -> set[str]:
    found = [kind for kind in vars(steps).values() if isinstance(kind, type) and issubclass(kind, Step)]
    return {kind.__name__ for kind in found} - {Step.__name__, FleetStep.__name__}


def test_every_kind_of_step_is_cut_short() -> None:
    assert {cut.step for cuts in CUTS.values() for cut in cuts} == kinds()


def test_a_command_that_is_killed_is_gone_on_with(here: Sequence[Site]) -> None:
    survive(here, [(scenario, cut_short(scenario, cuts)) for scenario, cuts in CUTS.items()])


def test_a_command_that_meets_a_fault_ends_well_or_says_why(here: Sequence[Site]) -> None:
    survive(
        here,
        [
            (f"{name}: {fault}", lambda site, name=name, fault=fault: attempt(site, name, fault, Counter()))
            for name, fault in FAULTS
        ],
    )
