"""The plan: pinned as English in golden files, and held to its promises by properties."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.cli.documents import plan_text
from shipit.model import Exposure, Mood, Observed, Pin, Split
from shipit.release.goal import Goal, give_up, rollback_goal, rollback_targets, serving_goal
from shipit.release.judge import judge_health
from shipit.release.plan import GROUPS_PER_ACTION, plan, split_at
from shipit.release.policy import Policy
from shipit.release.steps import (
    AwaitHealthy,
    BeforeTraffic,
    ClosePreview,
    Hold,
    LaunchFleet,
    PinFleet,
    Preview,
    ResizeFleet,
    ShiftTraffic,
    UnparkFleet,
)
from tests.release.sights import HEALTHY, NOW, SICK, fleet, goal, image, parked, seen, shrunk
from tests.release.stories import Company
from tests.release.worlds import POLICIES, goals, reproducible, worlds

PLANS = Path(__file__).parents[1] / "golden" / "plans"
CANARY = "5% 30s, 25% 1m, 100%"
POLICY = Policy()
Situation = tuple[Goal, Observed]


def first_release() -> Situation:
    observed = seen(vacant=True)
    return goal("v1", observed, baked=False), observed


def release_with_canary() -> Situation:
    observed = seen(fleet("v1"), split={"v1": 100})
    return goal("v2", observed, CANARY, baked=False), observed


def release_of_a_baked_image() -> Situation:
    observed = seen(fleet("v1"), split={"v1": 100})
    return goal("v2", observed), observed


def already_serving() -> Situation:
    observed = seen(fleet("v1"), split={"v1": 100})
    return goal("v1", observed), observed


def parked_fleet_adopted() -> Situation:
    observed = seen(parked("v1"), fleet("v2"), split={"v1": 0, "v2": 100})
    return goal("v1", observed, CANARY), observed


def staging() -> Situation:
    observed = seen(fleet("v1"), split={"v1": 100})
    return goal("v2", observed, baked=False, staged=True), observed


def staged_then_released() -> Situation:
    green = fleet("v2", exposure=Exposure.NONE, pin=Pin(2))
    observed = seen(fleet("v1"), green, split={"v1": 100}, preview="hello-v2")
    return goal("v2", observed, CANARY), observed


def release_where_clients_have_a_cookie_with_a_smoke_test() -> Situation:
    observed = seen(fleet("v1"), split={"v1": 100}, sticky_seconds=3600)
    return goal("v2", observed, CANARY, smoke=True), observed


def canary_found_half_way_at_5_percent() -> Situation:
    green = fleet("v2", exposure=Exposure.SOME, pin=Pin(2))
    since = NOW - timedelta(seconds=10)
    observed = seen(fleet("v1", pin=Pin(1)), green, split={"v1": 95, "v2": 5}, since=since, preview="hello-v2")
    return goal("v2", observed, CANARY), observed


def rollback_instant() -> Situation:
    observed = seen(parked("v1"), fleet("v2"), split={"v1": 0, "v2": 100})
    return rollback_goal(observed, rollback_targets(observed), None, "d1", "hello-new"), observed


def rollback_to_a_shrunken_fleet() -> Situation:
    observed = seen(shrunk("v1"), fleet("v2", 3), split={"v1": 0, "v2": 100})
    return rollback_goal(observed, rollback_targets(observed), "v1", "d1", "hello-new"), observed


def rollback_to_an_image_without_a_fleet() -> Situation:
    observed = seen(fleet("v2"), split={"v2": 100})
    targets = rollback_targets(observed, [image("v2"), image("v1")])
    return rollback_goal(observed, targets, "v1", "d1", "hello-new"), observed


def give_up_after_a_failed_canary() -> Situation:
    before = seen(fleet("v1"), split={"v1": 100})
    green = fleet("v2", state=SICK, exposure=Exposure.SOME, pin=Pin(2))
    now = seen(fleet("v1", pin=Pin(1)), green, split={"v1": 95, "v2": 5}, since=NOW, preview="hello-v2")
    return give_up(goal("v2", before), before), now


def give_up_of_a_first_release() -> Situation:
    before = seen(vacant=True)
    now = seen(fleet("v1", state=SICK, exposure=Exposure.NONE, pin=Pin(2)), vacant=True, preview="hello-v1")
    return give_up(goal("v1", before), before), now


def retire() -> Situation:
    observed = seen(parked("v1"), fleet("v2"), split={"v1": 0, "v2": 100})
    return serving_goal(observed, retire_parked=True), observed


def authenticating_listener() -> Situation:
    observed = seen(fleet("v1"), split={"v1": 100}, previewable=False)
    return goal("v2", observed), observed


def two_idle_fleets() -> Situation:
    idle = fleet("v0", exposure=Exposure.NONE), parked("v1"), parked("v2", minutes=55)
    observed = seen(*idle, fleet("v3"), split={"v1": 0, "v2": 0, "v3": 100})
    return goal("v3", observed), observed


def expired_parked_fleet() -> Situation:
    observed = seen(shrunk("v1"), fleet("v2"), split={"v1": 0, "v2": 100})
    return goal("v2", observed), observed


def blue_scaled_out_to_5() -> Situation:
    observed = seen(fleet("v1", 5, min_size=2), split={"v1": 100})
    return goal("v2", observed, CANARY), observed


SITUATIONS: tuple[Callable[[], Situation], ...] = (
    first_release,
    release_with_canary,
    release_of_a_baked_image,
    already_serving,
    parked_fleet_adopted,
    staging,
    staged_then_released,
    release_where_clients_have_a_cookie_with_a_smoke_test,
    canary_found_half_way_at_5_percent,
    rollback_instant,
    rollback_to_a_shrunken_fleet,
    rollback_to_an_image_without_a_fleet,
    give_up_after_a_failed_canary,
    give_up_of_a_first_release,
    retire,
    authenticating_listener,
    two_idle_fleets,
    expired_parked_fleet,
    blue_scaled_out_to_5,
)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
def test_golden_plan(situation: Callable[[], Situation]) -> None:
    wanted, observed = situation()
    text = plan_text(wanted, plan(wanted, observed, NOW, POLICY)) + "\n"
    pinned = PLANS / f"{situation.__name__}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        pinned.write_text(text)
    assert text == pinned.read_text()


def test_every_golden_plan_belongs_to_a_situation() -> None:
    assert {path.stem for path in PLANS.glob("*.txt")} == {situation.__name__ for situation in SITUATIONS}


def test_a_rollback_to_a_warm_fleet_only_cancels_its_retirement_before_the_shift() -> None:
    wanted, observed = rollback_instant()
    unpark, shift = plan(wanted, observed, NOW, POLICY).ship
    assert isinstance(unpark, UnparkFleet)
    assert isinstance(shift, ShiftTraffic)
    assert shift.split.percent("hello-v1") == 100


def test_a_parked_fleet_about_to_shrink_is_unparked_before_it_gets_traffic() -> None:
    observed = seen(parked("v1", minutes=1), fleet("v2"), split={"v1": 0, "v2": 100})
    wanted = rollback_goal(observed, rollback_targets(observed), None, "d1", "new")
    assert isinstance(plan(wanted, observed, NOW, POLICY).ship[0], UnparkFleet)


def test_a_stage_that_was_held_long_enough_is_not_held_again() -> None:
    wanted, observed = canary_found_half_way_at_5_percent()
    later = NOW + timedelta(seconds=21)
    held = [step.percent for step in plan(wanted, observed, later, POLICY).ship if isinstance(step, Hold)]
    assert held == [25]


def test_stages_below_the_share_that_it_has_are_skipped() -> None:
    green = fleet("v2", exposure=Exposure.SOME)
    observed = seen(fleet("v1"), green, split={"v1": 50, "v2": 50})
    shifts = [s for s in plan(goal("v2", observed, CANARY), observed, NOW, POLICY).ship if isinstance(s, ShiftTraffic)]
    assert [shift.split.percent("hello-v2") for shift in shifts] == [100]


def test_a_fleet_smaller_than_blue_grows_before_it_gets_traffic() -> None:
    green = fleet("v2", 2, exposure=Exposure.NONE)
    observed = seen(fleet("v1", 5), green, split={"v1": 100}, preview="hello-v2")
    kinds = [type(step) for step in plan(goal("v2", observed), observed, NOW, POLICY).ship]
    assert kinds.index(ResizeFleet) < kinds.index(AwaitHealthy) < kinds.index(ShiftTraffic)


def test_a_first_fleet_on_an_authenticating_listener_that_is_vacant_can_be_watched() -> None:
    observed = seen(vacant=True, previewable=False)
    kinds = [type(step) for step in plan(goal("v1", observed), observed, NOW, POLICY).ship]
    assert kinds.index(Preview) < kinds.index(AwaitHealthy)


@pytest.mark.parametrize("situation", [rollback_instant, authenticating_listener], ids=lambda one: one.__name__)
def test_a_preview_that_is_never_opened_is_not_closed_either(situation: Callable[[], Situation]) -> None:
    wanted, observed = situation()
    told = plan(wanted, observed, NOW, POLICY)
    assert not [step for step in told.tidy if isinstance(step, ClosePreview)]


def test_staging_a_parked_fleet_opens_it_to_the_preview_header() -> None:
    observed = seen(parked("v1"), fleet("v2"), split={"v1": 0, "v2": 100})
    told = plan(goal("v1", observed, staged=True), observed, NOW, POLICY)
    assert [step for step in told.ship if isinstance(step, Preview)]


@pytest.mark.parametrize("versions", [("v1",), ("v1", "v2"), ("v1", "v2", "v3")], ids=len)
def test_what_a_release_does_is_what_its_plan_said(versions: tuple[str, ...]) -> None:
    company = Company()
    for name in versions[:-1]:
        company.release(name)
        company.pass_time(10 * 60)
    wanted = company.goal(versions[-1], CANARY)
    told = company.plan(wanted)
    company.events.clear()
    company.run(wanted)
    done = [event.step for event in company.events if event.kind == "step"]
    ship = [step.kind for step in told.ship]
    assert done[: len(ship)] == ship


@reproducible(200)
@given(worlds(), st.fractions(Fraction(1, 10), 100, max_denominator=10))
def test_a_split_gives_exactly_the_share_that_was_asked_for(observed: Observed, share: Fraction) -> None:
    tenths = Fraction(round(share * 10), 10)
    made = split_at("green", tenths, observed)
    others = [name for name in observed.split.serving if name != "green"]
    assert made.percent("green") == (tenths if others else 100)
    assert sum(made.percent(name) for name in made.weights) == 100
    assert all(0 <= weight <= 999 for weight in made.weights.values())


@reproducible(200)
@given(worlds(), st.sampled_from([1, 50, 100]))
def test_a_split_stays_within_what_one_action_takes(observed: Observed, share: int) -> None:
    serving = [name for name in observed.split.serving if name != "green"]
    made = split_at("green", Fraction(share), observed)
    most = max(GROUPS_PER_ACTION, len(serving) + 1 + len(observed.route.foreign))
    assert len(made.weights) + len(observed.route.foreign) <= most


@reproducible(100)
@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers(0, 999), max_size=5))
def test_the_percents_of_a_split_add_up(weights: dict[str, int]) -> None:
    made = Split(weights)
    assert sum(made.percent(name) for name in weights) == (100 if any(weights.values()) else 0)
    assert set(made.serving) == {name for name, weight in weights.items() if weight}


@reproducible(400)
@given(worlds(), goals(), POLICIES)
def test_planning_never_fails_and_every_step_says_itself(observed: Observed, wanted: Goal, policy: Policy) -> None:
    told = plan(wanted, observed, NOW, policy)
    assert all(step.sentence and step.phase for step in (*told.ship, *told.tidy))
    assert plan_text(wanted, told)


@reproducible(400)
@given(worlds(), goals(), POLICIES)
def test_blue_keeps_its_capacity_until_the_goal_has_everything(
    observed: Observed, wanted: Goal, policy: Policy
) -> None:
    told = plan(wanted, observed, NOW, policy)
    for step in told.ship:
        takes_capacity = step.kind in ("DrainFleet", "DeleteFleet", "ParkFleet")
        shrinks = isinstance(step, ResizeFleet) and step.size < observed.fleets[step.fleet].desired
        assert not takes_capacity
        assert not shrinks


@reproducible(400)
@given(worlds(), goals(), POLICIES)
def test_no_plan_takes_capacity_from_a_fleet_with_a_share(observed: Observed, wanted: Goal, policy: Policy) -> None:
    told = plan(wanted, observed, NOW, policy)
    after = told.ship[-1] if told.ship else None
    shifts = [step for step in told.ship if isinstance(step, ShiftTraffic)]
    split = shifts[-1].split if after and shifts else observed.split
    if told.ship and not shifts:
        return  # the goal is met by waiting, so nothing is known of the split afterwards
    for step in told.tidy:
        if step.kind in ("DrainFleet", "DeleteFleet", "ParkFleet", "ResizeFleet"):
            assert split.percent(step.about) == 0, step.sentence


@reproducible(400)
@given(worlds(), goals(), POLICIES)
def test_a_plan_never_ends_with_less_than_all_weight_somewhere(
    observed: Observed, wanted: Goal, policy: Policy
) -> None:
    told = plan(wanted, observed, NOW, policy)
    if observed.split.total:
        for step in (*told.ship, *told.tidy):
            assert not isinstance(step, ShiftTraffic) or step.split.total > 0, step.sentence


@reproducible(400)
@given(worlds(), goals(), POLICIES)
def test_only_a_release_that_is_not_in_a_hurry_pins_blue_before_the_first_shift(
    observed: Observed, wanted: Goal, policy: Policy
) -> None:
    ship = plan(wanted, observed, NOW, policy).ship
    shifts = [number for number, step in enumerate(ship) if isinstance(step, ShiftTraffic) and step.split.serving]
    pins = [number for number, step in enumerate(ship) if isinstance(step, PinFleet)]
    entering = [
        n for n in shifts if ship[n].split.percent(wanted.fleet or "") > observed.split.percent(wanted.fleet or "")
    ]  # type: ignore[attr-defined]
    assert not pins or not entering or max(pins) < min(entering)
    assert not (wanted.instant and pins)


@reproducible(300)
@given(worlds(), goals(), POLICIES)
def test_the_hook_comes_once_right_before_the_first_request_of_a_new_fleet(
    observed: Observed, wanted: Goal, policy: Policy
) -> None:
    ship = plan(wanted, observed, NOW, replace(policy, hooked=True)).ship
    hooks = [number for number, step in enumerate(ship) if isinstance(step, BeforeTraffic)]
    shares = [
        n for n, step in enumerate(ship) if isinstance(step, ShiftTraffic) and step.split.percent(wanted.fleet or "")
    ]
    there = observed.fleets.get(wanted.fleet or "")
    is_new = not wanted.instant and (there is None or there.exposure is Exposure.NONE)
    assert hooks == ([shares[0] - 1] if is_new and shares else [])
    assert not [step for step in plan(wanted, observed, NOW, policy).ship if isinstance(step, BeforeTraffic)]


@reproducible(300)
@given(worlds(), goals(), POLICIES)
def test_traffic_comes_after_the_fleet_is_known_to_be_healthy(observed: Observed, wanted: Goal, policy: Policy) -> None:
    ship = plan(wanted, observed, NOW, policy).ship
    for number, step in enumerate(ship):
        if isinstance(step, ShiftTraffic) and step.split.percent(wanted.fleet or "") > 0:
            waited = any(isinstance(earlier, AwaitHealthy) for earlier in ship[:number])
            there = observed.fleets.get(wanted.fleet or "")
            assert waited or (there and there.healthy > 0), [one.sentence for one in ship]
            break


@reproducible(300)
@given(worlds(), goals(), POLICIES)
def test_a_fleet_is_launched_only_where_there_is_none(observed: Observed, wanted: Goal, policy: Policy) -> None:
    for step in plan(wanted, observed, NOW, policy).ship:
        if isinstance(step, LaunchFleet):
            there = observed.fleets.get(step.fleet)
            assert there is None or not there.whole


@reproducible(300)
@given(worlds(), POLICIES)
def test_what_serves_everybody_needs_nothing_more(observed: Observed, policy: Policy) -> None:
    for there in observed.fleets.values():
        if observed.split.percent(there.name) == 100:
            assert plan(Goal(there.version, there.name, there.image_id), observed, NOW, policy).ship == ()


@reproducible(100)
@given(worlds(), POLICIES)
def test_health_is_a_verdict_for_every_fleet(observed: Observed, policy: Policy) -> None:
    late = NOW + timedelta(seconds=policy.deadline_seconds + 1)
    for there in observed.fleets.values():
        needed = there.healthy + 1
        assert judge_health(there, there.healthy, NOW, NOW, policy).good
        assert judge_health(there, needed, NOW, NOW, policy).mood in (Mood.NOT_YET, Mood.BAD)
        assert judge_health(there, needed, NOW, late, policy).bad


def test_a_healthy_fleet_counts_only_instances_that_serve() -> None:
    mixed = fleet("v1", 2, HEALTHY, instances=(*fleet("v1", 1).instances, *fleet("x", 1, SICK).instances))
    assert mixed.healthy == 1
