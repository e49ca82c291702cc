"""A release that fails, dies, or finds the world changed: where traffic is afterwards, and what is left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from shipit import steering
from shipit.errors import CloudError
from shipit.model import Ending
from shipit.release.policy import Policy
from tests.fakes.cloud import Machine
from tests.fakes.people import SLOW, SmallTown, abort, freeze, release, resume, retire
from tests.fakes.shop import FakeShop


@pytest.fixture
def town() -> Iterator[SmallTown]:
    """A town that v1 serves with three instances."""
    town = SmallTown(Policy(size=3)).served_by("v1")
    yield town
    town.turns.kill_all()


def machines(town: SmallTown, version: str) -> list[Machine]:
    return next(group.machines for group in town.cloud.groups.values() if group.launch.version.name == version)


def end_one(town: SmallTown, version: str) -> None:
    """EC2 takes an instance away; its group sees to another one."""
    next(machine for machine in machines(town, version) if not machine.leaving_since).leaving_since = town.turns.now


def failed(town: SmallTown, **manner: Any) -> FakeShop:
    """A canary that has turned sick at 5 %."""
    shop = town.begun("v2", **manner)
    town.cloud.sick.add("v2")
    return shop


def shifts(town: SmallTown) -> list[str]:
    return [write for write in town.cloud.writes if write.startswith("shift")]


# A sick canary


def test_a_canary_that_turns_sick_is_sent_home_in_one_write(town: SmallTown) -> None:
    shop = failed(town)
    before = len(shifts(town))
    town.turns.play(lambda: town.share("v2") == 0)
    assert len(shifts(town)) == before + 1
    assert town.wait_for(shop).ending is Ending.FAILED_CLEAN
    assert town.versions == ["v1"]


def test_one_of_three_instances_that_comes_back_soon_fails_nothing(town: SmallTown) -> None:
    shop = town.begun("v2", "5% 2m, 100%")
    del machines(town, "v2")[0]
    assert town.wait_for(shop).ending is Ending.SUCCEEDED


def test_a_canary_that_stays_short_of_an_instance_is_sent_home(town: SmallTown) -> None:
    shop = town.begun("v2")
    town.cloud.boot_seconds = 120
    del machines(town, "v2")[0]
    assert town.wait_for(shop).ending is Ending.FAILED_CLEAN
    assert town.share("v1") == 100


def test_a_canary_whose_instances_keep_ending_is_sent_home(town: SmallTown) -> None:
    shop = town.begun("v2")
    for _ in range(3):
        end_one(town, "v2")
        town.turns.pass_time(20)
    ended = town.wait_for(shop)
    assert ended.ending is Ending.FAILED_CLEAN
    assert "have ended" in ended.reason


def test_what_turns_sick_while_it_is_watched_at_100_percent_is_sent_home(town: SmallTown) -> None:
    shop = town.begun("v2", "5% 1s, 100% 5m", at=100)
    town.cloud.sick.add("v2")
    ended = town.wait_for(shop)
    assert ended.ending is Ending.FAILED_CLEAN
    assert town.share("v1") == 100


def test_where_what_served_before_is_sick_as_well_traffic_goes_where_somebody_is_healthy(town: SmallTown) -> None:
    shop = town.begun("v2")
    town.cloud.sick.add("v1")
    del machines(town, "v2")[:2]
    before = len(shifts(town))
    ended = town.wait_for(shop)
    assert ended.ending is Ending.FAILED_DIRTY
    assert town.share("v2") == 100
    assert len(shifts(town)) == before + 1


def test_an_abort_does_not_wait_for_a_home_where_nobody_is_healthy(town: SmallTown) -> None:
    town.kill(town.begun("v2"))
    town.turns.pass_time(75)
    town.cloud.sick.add("v1")
    began = town.turns.seconds()
    aborted = town.run(abort, "bob")
    assert aborted.ending is Ending.FAILED_DIRTY
    assert town.share("v2") == 100
    assert town.turns.seconds() - began < 10


# Left to a person


def test_without_automatic_rollback_it_waits_for_a_person_who_aborts(town: SmallTown) -> None:
    waiting = town.wait_for(failed(town, auto_rollback=False))
    assert waiting.ending.exit_code == 6
    assert "shipit resume" in waiting.next
    assert "shipit abort" in waiting.next
    assert town.share("v2") == 5
    assert town.run(abort).ending is Ending.SUCCEEDED
    assert town.share("v1") == 100
    assert town.versions == ["v1"]


def test_without_automatic_rollback_it_waits_for_a_person_who_resumes(town: SmallTown) -> None:
    town.wait_for(failed(town, auto_rollback=False))
    town.cloud.sick.clear()
    assert town.run(resume()).ending is Ending.SUCCEEDED
    assert town.share("v2") == 100


def test_a_failed_fleet_is_kept_to_be_looked_at_until_it_is_retired(town: SmallTown) -> None:
    ended = town.wait_for(failed(town, keep_failed=True))
    assert ended.ending is Ending.FAILED_CLEAN
    assert "is kept" in ended.next
    assert town.versions == ["v1", "v2"]
    assert town.share("v1") == 100
    town.run(retire)
    assert town.versions == ["v1"]


# Resumed


def test_a_release_that_was_killed_is_resumed_with_its_schedule(town: SmallTown) -> None:
    town.kill(town.begun("v2", "5% 1m, 50% 1m, 100%"))
    resumed = town.begin("bob", resume())
    town.turns.play(lambda: town.share("v2") == 50)
    assert town.wait_for(resumed).ending is Ending.SUCCEEDED


def test_without_a_record_the_canary_that_the_listener_shows_is_resumed() -> None:
    town = SmallTown(kept=False).served_by("v1")
    town.kill(town.begun("v2"))
    assert town.run(resume()).ending is Ending.SUCCEEDED
    assert town.share("v2") == 100


def test_with_nothing_to_resume_nothing_happens(town: SmallTown) -> None:
    written = len(town.cloud.writes)
    assert town.run(resume()).ending is Ending.SUCCEEDED
    assert len(town.cloud.writes) == written


def test_a_retreat_that_was_killed_is_resumed_as_what_it_was(town: SmallTown) -> None:
    shop = failed(town)
    town.turns.play(lambda: town.share("v2") == 0)
    town.kill(shop)
    resumed = town.run(resume())
    assert resumed.ending is Ending.FAILED_CLEAN
    assert "unhealthy" in resumed.reason
    assert town.versions == ["v1"]


def test_a_resumed_release_still_waits_out_what_is_left_of_its_hold(town: SmallTown) -> None:
    town.kill(town.begun("v2", SLOW))
    began = town.turns.now
    assert town.run(resume()).ending is Ending.SUCCEEDED
    assert timedelta(minutes=9) < town.turns.now - began < timedelta(minutes=11)


# Drift


def test_a_release_shows_what_somebody_else_has_changed_and_goes_on_when_told_to(town: SmallTown) -> None:
    town.served_by("v2")
    v1, v2 = town.cloud.groups
    town.cloud.weights = {v1: 100, v2: 0}
    refused = town.run(release("v3"))
    assert refused.ending is Ending.REFUSED
    assert f"expected 100 % {v2}, found 100 % {v1}" in refused.reason
    assert "--accept-drift" in refused.next
    assert town.run(release("v3", accept_drift=True)).ending is Ending.SUCCEEDED
    assert town.share("v3") == 100


@pytest.mark.parametrize("command", [release("v3"), resume()], ids=["a release that is refused", "resume"])
def test_a_parked_fleet_that_was_made_to_serve_by_hand_does_not_shrink_once_anybody_has_looked(
    town: SmallTown, command: Any
) -> None:
    town.served_by("v2")
    v1, v2 = town.cloud.groups
    town.cloud.weights = {v1: 100, v2: 0}
    assert town.cloud.groups[v1].parked_until
    town.run(command)
    town.turns.pass_time(3 * 3600)
    town.cloud.observe_fleets([v1])
    assert (town.share("v1"), town.cloud.groups[v1].desired) == (100, 3)


def test_a_paused_release_sees_that_a_parked_fleet_was_made_to_serve_by_hand(town: SmallTown) -> None:
    town.served_by("v2")
    v1, v2 = town.cloud.groups
    shop = town.begin("ann", release("v3", SLOW))
    town.turns.play(lambda: "v3" in town.versions)
    town.run(steering.pause, "bob")
    town.turns.pass_time(60)
    town.cloud.weights = {v1: 100, v2: 0}
    assert "somebody else moved the traffic" in town.wait_for(shop).reason
    assert town.cloud.groups[v1].parked_until is None


def test_a_release_whose_record_is_lost_half_way_stays_at_its_share_and_can_be_gone_on_with(town: SmallTown) -> None:
    shop = town.begun("v2", "5% 10s, 100%")
    town.record.down = CloudError("the table is gone")
    lost = town.wait_for(shop)
    assert (lost.ending, town.share("v2")) == (Ending.REFUSED, 5)
    assert "could not be renewed" in lost.reason
    town.record.down = None
    town.turns.pass_time(75)
    assert town.run(resume()).ending is Ending.SUCCEEDED
    assert town.share("v2") == 100


def test_a_release_whose_record_is_lost_goes_home_all_the_same_when_it_fails(town: SmallTown) -> None:
    shop = town.begun("v2", "5% 10m, 100%")
    town.record.down = CloudError("the table is gone")
    town.turns.pass_time(90)
    town.cloud.sick.add("v2")
    town.wait_for(shop)
    assert town.share("v1") == 100


def test_what_refuses_a_release_is_told_also_when_its_lease_cannot_be_given_back(town: SmallTown) -> None:
    town.run(freeze)
    town.record.fail_next["free"] = CloudError("the table is gone")
    assert "is frozen" in town.run(release("v2")).reason
