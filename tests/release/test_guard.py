from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given

from shipit.errors import Refused
from shipit.model import Exposure, Observed, Split
from shipit.release.guard import refuse_foreign_route, refuse_harm
from shipit.release.steps import DeleteFleet, DrainFleet, ParkFleet, ShiftTraffic, Step
from tests.release.sights import NOW, SICK, fleet, seen
from tests.release.worlds import reproducible, worlds

BLUE, GREEN = "hello-v1", "hello-v2"
TAKING = [DrainFleet(BLUE), DeleteFleet(BLUE), ParkFleet(BLUE, NOW + timedelta(hours=1), 0, 60)]


@pytest.mark.parametrize("step", TAKING, ids=lambda step: step.kind)
@pytest.mark.parametrize("weight", [1, 100])
def test_a_fleet_with_any_share_keeps_its_capacity(step: Step, weight: int) -> None:
    observed = seen(fleet("v1"), fleet("v2"), split={"v1": weight, "v2": 999})
    with pytest.raises(Refused, match="% of the requests"):
        refuse_harm(step, observed)


@pytest.mark.parametrize("step", TAKING, ids=lambda step: step.kind)
def test_an_idle_fleet_may_be_ended(step: Step) -> None:
    refuse_harm(step, seen(fleet("v1"), fleet("v2"), split={"v1": 0, "v2": 100}))


@pytest.mark.parametrize("exposure", [Exposure.SOME, Exposure.ALL])
def test_a_fleet_that_has_served_is_not_ended_without_draining(exposure: Exposure) -> None:
    observed = seen(fleet("v1", exposure=exposure), fleet("v2"), split={"v2": 100})
    with pytest.raises(Refused, match="without draining"):
        refuse_harm(DeleteFleet(BLUE, at_once=True), observed)


def test_a_fleet_without_a_healthy_instance_gets_no_traffic() -> None:
    observed = seen(fleet("v1"), fleet("v2", state=SICK), split={"v1": 100})
    with pytest.raises(Refused, match="no healthy instance"):
        refuse_harm(ShiftTraffic(Split({BLUE: 95, GREEN: 5})), observed)


def test_a_fleet_that_nobody_has_seen_gets_no_traffic() -> None:
    with pytest.raises(Refused, match="no healthy instance"):
        refuse_harm(ShiftTraffic(Split({GREEN: 100})), seen(fleet("v1"), split={"v1": 100}))


def test_a_sick_fleet_may_lose_traffic() -> None:
    observed = seen(fleet("v1"), fleet("v2", state=SICK), split={"v1": 50, "v2": 50})
    refuse_harm(ShiftTraffic(Split({BLUE: 100, GREEN: 0})), observed)


@pytest.mark.parametrize("weights", [{BLUE: 0, GREEN: 0}, {}], ids=["all zero", "none"])
def test_weights_are_never_all_zero(weights: dict[str, int]) -> None:
    observed = seen(fleet("v1"), fleet("v2"), split={"v1": 100, "v2": 0})
    with pytest.raises(Refused, match="all weights to zero"):
        refuse_harm(ShiftTraffic(Split(weights)), observed)


def test_a_redirect_is_not_ours_to_replace() -> None:
    with pytest.raises(Refused, match="cannot be shifted here"):
        refuse_foreign_route(seen(obstacle="the listener redirects every request"))


def test_a_foreign_group_with_a_share_is_named() -> None:
    with pytest.raises(Refused, match=r"legacy \(weight 50\)"):
        refuse_foreign_route(seen(foreign={"legacy": 50, "idle": 0}))


def test_a_foreign_group_without_a_share_is_no_obstacle() -> None:
    refuse_foreign_route(seen(foreign={"idle": 0}))


@reproducible(300)
@given(worlds())
def test_whatever_is_planned_no_serving_fleet_passes_the_guard(observed: Observed) -> None:
    for name in observed.split.serving:
        for step in (DrainFleet(name), DeleteFleet(name, at_once=True), ParkFleet(name, NOW, 0, 1)):
            with pytest.raises(Refused):
                refuse_harm(step, observed)
