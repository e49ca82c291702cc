"""Whatever fails, whenever: users are served, nothing half done is called clean, and the same command again converges."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.errors import CloudError, ShipitError
from shipit.events import StepBegan
from shipit.model import Ending, Exposure, Image, Version
from shipit.release.engine import Outcome
from shipit.release.policy import Policy
from tests.fakes.cloud import FakeCloud
from tests.release.faults import Calls, Fault, Killed, TroubledCompany, healthy, picture
from tests.release.stories import Company
from tests.release.worlds import reproducible

CANARY = "5% 30s, 50% 30s, 100%"
FAULTS = st.builds(Fault, st.integers(0, 110), st.booleans(), st.booleans())


def nothing(company: TroubledCompany) -> None:
    """An empty account."""


def one_version(company: TroubledCompany) -> None:
    company.release("v1")


def two_versions(company: TroubledCompany) -> None:
    company.release("v1")
    company.pass_time(600)
    company.release("v2")
    company.pass_time(600)


def two_versions_and_a_cookie(company: TroubledCompany) -> None:
    company.release("v1")
    company.cloud.sticky_seconds = 600
    company.pass_time(600)
    company.release("v2")
    company.pass_time(600)


def two_versions_long_ago(company: TroubledCompany) -> None:
    two_versions(company)
    company.pass_time(3 * 3600)


def a_canary_left_alone(company: TroubledCompany) -> None:
    company.release("v1")

    def die() -> None:
        if 5 in company.cloud.weights.values():
            raise Killed

    company.cloud.clock.on_sleep.append(die)
    with pytest.raises(Killed):
        company.release("v2", "5% 10m, 100%")
    company.cloud.clock.on_sleep.remove(die)


Story = tuple[Callable[[TroubledCompany], None], Callable[[TroubledCompany], Outcome], str]
STORIES: dict[str, Story] = {
    "a first release": (nothing, lambda company: company.release("v1"), "v1"),
    "a canary": (one_version, lambda company: company.release("v2", CANARY), "v2"),
    "a release over a parked fleet": (two_versions, lambda company: company.release("v3", CANARY), "v3"),
    "a release where clients have a cookie": (
        two_versions_and_a_cookie,
        lambda company: company.release("v3", CANARY),
        "v3",
    ),
    "a rollback where clients have a cookie": (two_versions_and_a_cookie, lambda company: company.rollback("v1"), "v1"),
    "a release over a shrunken fleet": (two_versions_long_ago, lambda company: company.release("v3", CANARY), "v3"),
    "a rollback": (two_versions, lambda company: company.rollback("v1"), "v1"),
    "a rollback to a shrunken fleet": (two_versions_long_ago, lambda company: company.rollback("v1"), "v1"),
    "a canary taken up again": (a_canary_left_alone, lambda company: company.release("v2", "5% 10m, 100%"), "v2"),
    "a retirement": (two_versions, lambda company: company.retire(), "v2"),
}


def troubled(before: Callable[[TroubledCompany], None]) -> TroubledCompany:
    company = TroubledCompany(calls=Calls())
    before(company)
    company.calls.made.clear()
    return company


def again_until_done(company: TroubledCompany, command: Callable[[TroubledCompany], Outcome], version: str) -> None:
    """The same command again, by somebody who reads what serves: a rollback that has happened is not typed twice."""
    if company.serving != {version: 100}:
        assert command(company).ending is Ending.SUCCEEDED
    assert company.serving == {version: 100}


@pytest.mark.parametrize("name", STORIES)
@reproducible(40)
@given(fault=FAULTS)
def test_users_are_served_whatever_call_fails_and_the_same_command_again_converges(name: str, fault: Fault) -> None:
    before, command, version = STORIES[name]
    company = troubled(before)
    company.calls.fault = fault
    with contextlib.suppress(CloudError, Killed):  # the first look failed, or the process died
        command(company)
    company.calls.fault = None
    assert company.complaints == []
    again_until_done(company, command, version)
    assert company.complaints == []


RESTORED = [
    "a canary",
    "a release over a parked fleet",
    "a release where clients have a cookie",
    "a rollback to a shrunken fleet",
]


@pytest.mark.parametrize("name", RESTORED)
@reproducible(40)
@given(number=st.integers(0, 110), after_effect=st.booleans())
def test_failed_clean_means_exactly_as_before(name: str, number: int, after_effect: bool) -> None:
    before, command, _ = STORIES[name]
    company = troubled(before)
    as_it_was = picture(company.cloud)
    company.calls.fault = Fault(number, after_effect, kills=False)
    try:
        outcome = command(company)
    except ShipitError:
        assert picture(company.cloud) == as_it_was
        return
    if outcome.ending is Ending.FAILED_CLEAN:
        assert picture(company.cloud) == as_it_was


def test_a_first_release_whose_shift_is_reported_as_failed_is_not_called_failed_clean_while_it_serves() -> None:
    company = troubled(nothing)
    company.goal("v1")
    probe = troubled(nothing)
    probe.release("v1")
    company.calls.fault = Fault(probe.calls.made.index("shift"), after_effect=True, kills=False)
    company.calls.made.clear()
    outcome = company.release("v1")
    assert company.serving == {"v1": 100}
    assert outcome.ending is not Ending.FAILED_CLEAN


@pytest.mark.parametrize("name", ["a canary", "a rollback", "a first release", "a release over a shrunken fleet"])
def test_after_success_there_is_nothing_left_to_ship(name: str) -> None:
    before, command, version = STORIES[name]
    company = troubled(before)
    assert command(company).ending is Ending.SUCCEEDED
    assert company.plan(company.goal(version)).ship == ()


@pytest.mark.parametrize("name", ["a canary", "a rollback"])
def test_once_old_fleets_had_their_time_nothing_is_left_to_tidy(name: str) -> None:
    before, command, version = STORIES[name]
    company = troubled(before)
    command(company)
    company.pass_time(4 * 3600)
    company.retire()
    assert company.plan(company.goal(version)).empty
    assert company.versions == [version]


def test_a_rollback_that_fails_leaves_the_fleet_it_wanted_to_go_back_to() -> None:
    company = troubled(two_versions_long_ago)
    company.cloud.sick.add("v1")
    outcome = company.rollback("v1")
    assert outcome.ending in (Ending.FAILED_CLEAN, Ending.FAILED_DIRTY)
    assert company.serving == {"v2": 100}
    assert company.versions == ["v1", "v2"]


def test_a_rollback_that_dies_after_its_flip_does_not_let_the_fleet_shrink_later() -> None:
    company = troubled(two_versions)
    probe = troubled(two_versions)
    probe.rollback("v1")
    company.calls.fault = Fault(probe.calls.made.index("shift"), after_effect=True, kills=True)
    with pytest.raises(Killed):
        company.rollback("v1")
    company.calls.fault = None
    company.pass_time(3 * 3600)
    company.look_after_users()
    assert company.complaints == []


def test_trouble_while_explaining_a_failure_does_not_keep_traffic_on_the_sick_fleet() -> None:
    company = troubled(one_version)
    cloud = company.cloud

    def last_words(instance_id: str) -> Any:
        raise CloudError("AWS refused", "Throttling: Rate exceeded", code="Throttling")

    cloud.last_words = last_words  # type: ignore[method-assign]
    cloud.clock.on_sleep.append(lambda: cloud.sick.add("v2") if 5 in cloud.weights.values() else None)
    company.release("v2", "5% 10m, 100%")
    assert company.serving == {"v1": 100}


@pytest.mark.parametrize("schedule", ["5% 10m, 100%", "60% 10m, 100%"])
def test_retiring_while_a_canary_runs_does_not_change_who_serves(schedule: str) -> None:
    company = Company()
    company.release("v1")

    def die() -> None:
        if len([weight for weight in company.cloud.weights.values() if weight]) == 2:
            raise Killed

    company.cloud.clock.on_sleep.append(die)
    with pytest.raises(Killed):
        company.release("v2", schedule)
    company.cloud.clock.on_sleep.clear()
    serving = company.serving
    with contextlib.suppress(ShipitError):  # a refusal would do
        company.retire()
    assert company.serving == serving


def another_terminal(company: Company, when: Callable[[StepBegan], bool], act: Callable[[], object]) -> None:
    """Somebody does something else at the moment when a step begins."""
    events, done = company.events, []

    class Overheard(list[Any]):
        def append(self, event: Any) -> None:
            super().append(event)
            if isinstance(event, StepBegan) and when(event) and not done:
                done.append(event)
                act()

    company.events = Overheard(events)


def test_a_rollback_from_another_terminal_is_not_undone_by_the_release_that_runs() -> None:
    company = Company()
    company.release("v1")
    blue = next(iter(company.cloud.weights))

    def flip() -> None:
        company.cloud.weights = {name: 100 if name == blue else 0 for name in company.cloud.weights}

    another_terminal(company, lambda step: step.step == "Hold", flip)
    with contextlib.suppress(ShipitError):
        company.release("v2", "5% 30s, 50% 30s, 100%")
    assert company.serving == {"v1": 100}


def test_a_rollback_from_another_terminal_ends_the_tidying() -> None:
    company = Company(policy=Policy(keep_fleets=2))
    for name in ("v1", "v2"):
        company.release(name)
        company.pass_time(600)
    company.pass_time(2 * 3600)
    v2 = next(name for name, weight in company.cloud.weights.items() if weight)

    def flip() -> None:
        company.cloud.weights = {name: 100 if name == v2 else 0 for name in company.cloud.weights}

    another_terminal(company, lambda step: step.step == "MarkServing", flip)
    company.release("v3")
    assert company.serving == {"v2": 100}
    assert company.cloud.writes.count("close_preview") == 3, "once for each release"


def test_a_canary_found_sick_is_sent_home() -> None:
    company = troubled(a_canary_left_alone)
    company.cloud.sick.add("v2")
    company.complaints.clear()
    outcome = company.release("v2", "5% 10m, 100%")
    assert outcome.ending is Ending.FAILED_CLEAN
    assert company.serving == {"v1": 100}
    assert company.versions == ["v1"]


def test_a_canary_found_sick_is_sent_home_at_once() -> None:
    company = troubled(a_canary_left_alone)
    company.cloud.sick.add("v2")
    began = company.cloud.clock.now()
    sent_home: list[timedelta] = []

    def notice() -> None:
        if len([w for w in company.cloud.weights.values() if w]) == 1:
            sent_home.append(company.cloud.clock.now() - began)

    company.cloud.clock.on_sleep.append(notice)
    company.release("v2", "5% 10m, 100%")
    assert sent_home[0] < timedelta(seconds=60)


def test_a_rollback_out_of_a_canary_of_an_earlier_version_goes_back_and_not_forth() -> None:
    company = troubled(two_versions)

    def die() -> None:
        if 20 in company.cloud.weights.values():
            raise Killed

    company.cloud.clock.on_sleep.append(die)
    with pytest.raises(Killed):
        company.release("v1", "20% 10m, 100%")
    company.cloud.clock.on_sleep.remove(die)
    assert company.serving == {"v1": 20, "v2": 80}
    company.rollback()
    assert company.serving == {"v2": 100}


class TwoBakersCloud(FakeCloud):
    """Another process bakes the same commit at the same time: both get the same image."""

    def bake(self, version: Version) -> Image:
        return next((i for i in self.images.values() if i.version.name == version.name), None) or super().bake(version)


def test_a_bake_that_finds_the_image_of_a_living_fleet_uses_that_fleet() -> None:
    company = Company(cloud=TwoBakersCloud())
    company.release("v1")
    company.release("v2")
    wanted = replace(company.goal("v1"), fleet="fleet-9-v1", image_id=None)
    outcome = company.run(wanted)
    assert outcome.ending is Ending.SUCCEEDED
    assert company.serving == {"v1": 100}
    assert company.versions == ["v1", "v2"]
    serving = next(fleet for fleet in company.look().serving_fleets())
    assert serving.parked_until is None
    assert serving.exposure is Exposure.ALL


def test_a_failed_canary_waits_for_the_balancer_once_before_its_fleet_goes() -> None:
    company = troubled(one_version)
    cloud = company.cloud
    cloud.clock.on_sleep.append(lambda: cloud.sick.add("v2") if 5 in cloud.weights.values() else None)
    company.events.clear()
    company.release("v2", "5% 10m, 100%")
    settled = [event for event in company.events if event.kind == "step" and event.step == "Settle"]
    assert len(settled) == 1


def test_the_fake_notices_a_fleet_that_serves_without_a_healthy_instance() -> None:
    company = troubled(one_version)
    (name,) = company.cloud.groups
    assert healthy(company.cloud, name) == 2
    company.cloud.groups[name].machines.clear()
    company.look_after_users()
    assert company.complaints == [f"{name} has a share and nobody healthy"]


def test_a_release_that_fails_does_not_undo_what_another_one_did_meanwhile() -> None:
    company = Company()
    company.release("v1")
    company.pass_time(600)
    colleague = Company(cloud=company.cloud, _names=50)
    another_terminal(company, lambda step: step.step == "AwaitHealthy", lambda: colleague.release("v3"))
    with contextlib.suppress(ShipitError):
        company.release("v2")
    assert company.serving == {"v3": 100}
