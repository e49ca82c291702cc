from __future__ import annotations

from datetime import timedelta

import pytest

from shipit.model import Exposure, FailureKind, Instance, LaunchFailure, Mood, TargetState
from shipit.release.judge import (
    forsaken,
    is_sick,
    judge_canary,
    judge_health,
    judge_launch,
    needed_healthy,
    wanted_size,
)
from shipit.release.policy import Policy
from tests.release.sights import HEALTHY, NOW, SICK, fleet, goal, instances, seen

POLICY = Policy(size=2, deadline_seconds=600)
LATE = NOW + timedelta(seconds=601)


@pytest.mark.parametrize(
    ("size", "percent", "needed"),
    [(2, 100, 2), (3, 50, 2), (1, 1, 1), (64, 99, 64), (100, 99, 99), (1000, 0.1, 1), (3, 66.7, 3), (20, 55, 11)],
)
def test_how_many_must_be_healthy(size: int, percent: float, needed: int) -> None:
    assert needed_healthy(size, Policy(health_percent=percent)) == needed


def test_green_is_as_large_as_the_largest_fleet_that_serves() -> None:
    observed = seen(fleet("v1", 5), fleet("v0", 3), split={"v1": 95, "v0": 5})
    assert wanted_size(goal("v2", observed), observed, POLICY) == 5


def test_a_first_fleet_has_the_configured_size() -> None:
    assert wanted_size(goal("v1", seen()), seen(), POLICY) == 2


def test_a_group_that_is_not_visible_yet_is_waited_for_until_the_deadline() -> None:
    assert judge_launch(None, 2, NOW, NOW, POLICY).mood is Mood.NOT_YET
    assert judge_launch(None, 2, NOW, LATE, POLICY).bad


def test_too_few_instances_are_waited_for_and_the_deadline_is_named() -> None:
    green = fleet("v2", instances=instances("v2", 1))
    assert judge_launch(green, 2, NOW, NOW, POLICY).reason == "1 of 2 instances in service"
    assert "health.deadline_seconds: 600" in judge_launch(green, 2, NOW, LATE, POLICY).reason


@pytest.mark.parametrize("kind", [FailureKind.QUOTA, FailureKind.CONFIGURATION, FailureKind.PERMISSION])
def test_a_launch_that_no_wait_can_cure_fails_with_the_words_of_aws(kind: FailureKind) -> None:
    green = fleet("v2", instances=(), failure=LaunchFailure(kind, "VcpuLimitExceeded: 8"))
    verdict = judge_launch(green, 2, NOW, NOW, POLICY)
    assert verdict.bad
    assert "VcpuLimitExceeded: 8" in verdict.reason


@pytest.mark.parametrize("kind", [FailureKind.CAPACITY, FailureKind.OTHER])
def test_a_lack_of_capacity_is_waited_for(kind: FailureKind) -> None:
    green = fleet("v2", instances=(), failure=LaunchFailure(kind, "no capacity in eu-west-1a"))
    assert judge_launch(green, 2, NOW, NOW, POLICY).mood is Mood.NOT_YET


def test_an_instance_that_ends_before_the_fleet_ever_served_ends_the_release() -> None:
    dying = (*instances("v2", 1), Instance("i-dead", "Terminating"))
    green = fleet("v2", instances=dying, exposure=Exposure.NONE)
    verdict = judge_health(green, 2, NOW, NOW, POLICY)
    assert verdict.bad
    assert "i-dead" in verdict.reason


def test_an_instance_that_is_replaced_in_a_fleet_that_serves_does_not() -> None:
    dying = (*instances("v2", 1), Instance("i-dead", "Terminating"))
    assert judge_health(fleet("v2", instances=dying), 2, NOW, NOW, POLICY).mood is Mood.NOT_YET


def test_a_sick_fleet_is_described_in_the_words_of_aws() -> None:
    sick = tuple(
        Instance(f"i-{n}", "InService", target=SICK, reason="Target.Timeout", description="Request timed out")
        for n in range(5)
    )
    reason = judge_health(fleet("v2", 5, instances=sick), 5, NOW, NOW, POLICY).reason
    assert reason == "0 of 5 healthy; i-0, i-1, i-2 and 2 more: unhealthy, Target.Timeout (Request timed out)"


def test_targets_that_stay_unused_are_a_configuration_error_after_a_minute() -> None:
    idle = fleet("v2", state=TargetState.UNUSED)
    assert judge_health(idle, 2, NOW, NOW + timedelta(seconds=59), POLICY).mood is Mood.NOT_YET
    assert judge_health(idle, 2, NOW, NOW + timedelta(seconds=61), POLICY).bad


def test_a_fleet_that_is_gone_is_not_waited_for() -> None:
    assert judge_health(None, 2, NOW, NOW, POLICY).bad


@pytest.mark.parametrize("lifecycle", ["Pending", "Standby", "Terminating:Wait", "Quarantined", "ReplacingRootVolume"])
def test_only_instances_in_service_count(lifecycle: str) -> None:
    assert fleet("v1", instances=instances("v1", 2, HEALTHY, lifecycle)).healthy == 0


@pytest.mark.parametrize("changes", [{"group_healthy": False}, {"ours": False}, {"target": TargetState.UNKNOWN}])
def test_an_instance_must_be_healthy_for_everybody_and_of_this_fleet(changes: dict[str, object]) -> None:
    one = Instance(**{"id": "i-1", "lifecycle": "InService", "target": HEALTHY, **changes})  # type: ignore[arg-type]
    assert not one.serves


@pytest.mark.parametrize("state", ["unhealthy.draining", "unhealthy"])
def test_states_of_network_load_balancers_are_unhealthy(state: str) -> None:
    assert TargetState(state) is TargetState.UNHEALTHY


def test_a_state_that_aws_adds_later_is_not_healthy() -> None:
    assert TargetState("glowing") is TargetState.UNKNOWN


@pytest.mark.parametrize(
    ("green", "good"),
    [(fleet("v2"), True), (fleet("v2", state=SICK), False), (fleet("v2", 2, instances=instances("v2", 1)), False)],
    ids=["healthy", "sick", "one is missing"],
)
def test_a_canary_keeps_its_share_only_while_it_is_healthy(green: object, good: bool) -> None:
    observed = seen(fleet("v1"), green, split={"v1": 95, "v2": 5})  # type: ignore[arg-type]
    assert judge_canary(goal("v2", observed), observed, NOW, POLICY).good is good


def test_a_canary_whose_fleet_is_gone_fails() -> None:
    observed = seen(fleet("v1"), split={"v1": 95, "v2": 5})
    assert judge_canary(goal("v2", observed), observed, NOW, POLICY).bad


def test_a_canary_that_scales_out_is_not_taken_for_sick() -> None:
    growing = (*instances("v2", 2), Instance("i-new", "Pending"))
    observed = seen(fleet("v1"), fleet("v2", 3, instances=growing), split={"v1": 95, "v2": 5})
    assert not judge_canary(goal("v2", observed), observed, NOW, POLICY).bad


H, U, D, N = TargetState.HEALTHY, TargetState.UNHEALTHY, TargetState.DRAINING, TargetState.INITIAL


@pytest.mark.parametrize(
    ("states", "desired", "sick"),
    [
        ([H, H], 2, False),
        ([H, U], 2, False),
        ([U, U], 2, True),
        ([N, N], 2, True),
        ([], 2, True),
        ([H, U, U, U], 4, True),
        ([H, H, N, N, N, N], 6, False),
        ([H, H, D, D, D, D], 2, False),
    ],
    ids=["well", "half", "both", "replaced at once", "none", "most", "growing", "shrinking"],
)
def test_a_fleet_is_sick_when_it_can_serve_no_more(states: list[TargetState], desired: int, sick: bool) -> None:
    there = tuple(
        Instance(f"i-{n}", "Terminating" if state is D else "InService", target=state) for n, state in enumerate(states)
    )
    assert is_sick(fleet("v1", desired, instances=there), POLICY) is sick


def test_nobody_is_forsaken_for_a_fleet_that_is_not_whole_itself() -> None:
    ill = fleet("v1", state=SICK)
    half = seen(ill, fleet("v2", 2, instances=instances("v2", 1)), split={"v1": 95, "v2": 5})
    assert not forsaken(goal("v2", half), half, POLICY)
    whole = seen(ill, fleet("v2", 2), split={"v1": 95, "v2": 5})
    assert forsaken(goal("v2", whole), whole, POLICY) == "v1 is sick: 0 of 2 healthy"
