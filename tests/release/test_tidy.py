from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given

from shipit.model import Exposure, Observed, Pin
from shipit.release.goal import Goal, serving_goal
from shipit.release.policy import Policy
from shipit.release.steps import ParkFleet, ShiftTraffic, Step
from shipit.release.tidy import tidy
from tests.release.sights import NOW, fleet, goal, parked, seen, shrunk
from tests.release.worlds import POLICIES, goals, reproducible, worlds

POLICY = Policy()


def steps_for(name: str, observed: Observed, wanted: Goal | None = None, policy: Policy = POLICY) -> list[str]:
    planned = tidy(wanted or serving_goal(observed), observed, NOW, policy)
    return [step.kind for step in planned if step.about == f"hello-{name}"]


def test_the_fleet_that_served_is_pinned_then_parked_for_the_time_of_the_settings() -> None:
    observed = seen(fleet("v1"), fleet("v2"), split={"v1": 0, "v2": 100})
    assert steps_for("v1", observed) == ["PinFleet", "ParkFleet"]
    (park,) = (s for s in tidy(serving_goal(observed), observed, NOW, POLICY) if isinstance(s, ParkFleet))
    assert (park.until - NOW, park.floor) == (timedelta(hours=1), 0)


def test_where_dns_looks_at_health_one_instance_stays() -> None:
    observed = seen(fleet("v1"), fleet("v2"), split={"v1": 0, "v2": 100})
    planned = tidy(serving_goal(observed), observed, NOW, Policy(floor=1))
    assert [step.floor for step in planned if isinstance(step, ParkFleet)] == [1]


def test_a_fleet_that_is_parked_already_is_left_alone() -> None:
    assert steps_for("v1", seen(parked("v1"), fleet("v2"), split={"v1": 0, "v2": 100})) == []


def test_a_fleet_that_never_served_is_deleted_at_once() -> None:
    assert steps_for("v1", seen(fleet("v1", exposure=Exposure.NONE), fleet("v2"), split={"v2": 100})) == ["DeleteFleet"]


def test_a_fleet_that_served_some_is_settled_taken_out_drained_and_deleted() -> None:
    canary = fleet("v1", exposure=Exposure.SOME)
    observed = seen(canary, fleet("v2"), split={"v1": 0, "v2": 100}, since=NOW)
    wanted = ["ParkFleet", "Settle", "ShiftTraffic", "DrainFleet", "AwaitEmpty", "DeleteFleet"]
    assert steps_for("v1", observed) == wanted


def test_a_fleet_on_its_way_out_is_only_waited_for_and_deleted() -> None:
    leaving = fleet("v1", 0, leaving=True, instances=fleet("v1", 1).instances)
    observed = seen(leaving, fleet("v2"), split={"v2": 100})
    assert steps_for("v1", observed) == ["AwaitEmpty", "DeleteFleet"]


def test_the_fleet_that_serves_is_unpinned_unparked_and_remembered() -> None:
    serving = parked("v2", pin=Pin(1), exposure=Exposure.SOME)
    assert steps_for("v2", seen(serving, split={"v2": 100})) == ["MarkServing", "UnparkFleet", "UnpinFleet"]


@pytest.mark.parametrize("weight", [1, 50, 999])
def test_a_fleet_with_any_share_is_not_touched(weight: int) -> None:
    observed = seen(fleet("v1", exposure=Exposure.NONE), fleet("v2"), split={"v1": weight, "v2": 100})
    assert steps_for("v1", observed, goal("v2", observed)) == []


def test_only_as_many_fleets_are_kept_as_the_policy_says() -> None:
    observed = seen(parked("v1", 10), parked("v2", 20), fleet("v3"), split={"v3": 100})
    assert steps_for("v2", observed) == []
    assert "DeleteFleet" in steps_for("v1", observed)
    assert steps_for("v1", observed, policy=Policy(keep_fleets=2)) == []


def test_a_fleet_whose_time_is_over_goes() -> None:
    assert "DeleteFleet" in steps_for("v1", seen(shrunk("v1"), fleet("v2"), split={"v1": 0, "v2": 100}))


def test_retiring_gives_up_fleets_within_their_time() -> None:
    observed = seen(parked("v1"), fleet("v2"), split={"v1": 0, "v2": 100})
    assert "DeleteFleet" in steps_for("v1", observed, serving_goal(observed, retire_parked=True))


def test_a_fleet_that_lost_its_share_a_moment_ago_is_settled_first() -> None:
    observed = seen(parked("v1", minutes=60), fleet("v2"), split={"v1": 0, "v2": 100})
    assert steps_for("v1", observed, serving_goal(observed, retire_parked=True))[0] == "Settle"


def test_staging_leaves_other_fleets_where_they_are() -> None:
    observed = seen(shrunk("v0"), fleet("v1"), fleet("v2", exposure=Exposure.NONE), split={"v1": 100})
    assert tidy(goal("v2", observed, staged=True), observed, NOW, POLICY) == []


def test_taking_a_fleet_out_of_the_action_changes_no_share() -> None:
    observed = seen(shrunk("v1"), fleet("v2"), fleet("v3"), split={"v1": 0, "v2": 5, "v3": 95})
    planned = tidy(goal("v3", observed), observed, NOW, POLICY)
    (out,) = (step for step in planned if isinstance(step, ShiftTraffic))
    assert out.split.weights == {"hello-v2": 5, "hello-v3": 95}


@reproducible(300)
@given(worlds(), goals(), POLICIES)
def test_nothing_is_drained_or_deleted_while_it_has_a_share(observed: Observed, wanted: Goal, policy: Policy) -> None:
    touched: list[Step] = tidy(wanted, observed, NOW, policy)
    for step in touched:
        if step.kind in ("ParkFleet", "DrainFleet", "DeleteFleet", "AwaitEmpty", "Settle"):
            assert observed.split.percent(step.about) == 0


@reproducible(300)
@given(worlds(), goals(), POLICIES)
def test_a_fleet_is_out_of_the_action_before_it_is_drained(observed: Observed, wanted: Goal, policy: Policy) -> None:
    planned = tidy(wanted, observed, NOW, policy)
    for number, step in enumerate(planned):
        if step.kind in ("DrainFleet", "DeleteFleet") and step.about in observed.split.weights:
            earlier = [one for one in planned[:number] if isinstance(one, ShiftTraffic)]
            assert any(step.about not in one.split.weights for one in earlier)


@reproducible(200)
@given(worlds(), goals(), POLICIES)
def test_tidying_one_fleet_out_of_the_action_leaves_the_others_shares(
    observed: Observed, wanted: Goal, policy: Policy
) -> None:
    for step in tidy(wanted, observed, NOW, policy):
        if isinstance(step, ShiftTraffic):
            before = {name: observed.split.percent(name) for name in observed.split.serving}
            assert {name: step.split.percent(name) for name in step.split.serving} == before


def test_discarded_fleets_go_even_when_they_would_be_kept() -> None:
    observed = seen(parked("v1"), fleet("v2"), split={"v2": 100})
    wanted = replace(goal("v2", observed), discard=frozenset({"hello-v1"}))
    assert "DeleteFleet" in steps_for("v1", observed, wanted)
