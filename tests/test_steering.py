"""Two terminals, one release: who is refused, who waits, who is obeyed, and what is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from shipit import machine, steering
from shipit.errors import LeaseLost, Refused
from shipit.model import Ending
from shipit.standing import Orders
from tests.fakes.people import (
    SLOW,
    SmallTown,
    abort,
    freeze,
    promote,
    promote_fully,
    release,
    resume,
    rollback,
    shift,
)

STAGES = "5% 10m, 25% 10m, 100%"


@pytest.fixture
def town() -> Iterator[SmallTown]:
    """A town that v1 serves."""
    town = SmallTown().served_by("v1")
    yield town
    town.turns.kill_all()


# One at a time


def test_a_second_release_is_refused_and_told_who_is_at_it_since_when_and_what_to_type(town: SmallTown) -> None:
    town.begun("v2")
    refused = town.run(release("v3"), "bob")
    assert refused.ending.exit_code == 5
    for word in ("release of v2", "ann", "since 2026-01-01", "hold at 5 %"):
        assert word in refused.reason
    assert "shipit abort" in refused.next
    assert town.versions == ["v1", "v2"]


def test_one_that_waits_goes_on_when_the_other_has_ended(town: SmallTown) -> None:
    town.begun("v2", "5% 30s, 100%")
    waiting = town.run(release("v3", wait_seconds=600), "bob")
    assert waiting.ending is Ending.SUCCEEDED
    assert town.share("v3") == 100


def test_one_that_waits_gives_up_when_its_patience_ends(town: SmallTown) -> None:
    town.begun("v2")
    assert town.run(release("v3", wait_seconds=20), "bob").ending is Ending.REFUSED


def test_the_lease_of_a_dead_holder_ends_by_itself(town: SmallTown) -> None:
    town.kill(town.begun("v2"))
    assert town.run(release("v2", SLOW), "bob").ending is Ending.REFUSED
    town.turns.pass_time(75)
    assert town.run(release("v2", "100%"), "bob").ending is Ending.SUCCEEDED


def test_a_holder_that_is_seen_to_have_ended_is_replaced_at_once(town: SmallTown) -> None:
    town.kill(town.begun("v2"))
    holder = town.record.standing.holder
    gone = replace(holder, mark=f"{machine.host()}:{2**22 + 1}:1")
    town.record.standing = replace(town.record.standing, holder=gone)
    assert town.run(release("v2", "100%"), "bob").ending is Ending.SUCCEEDED


def test_a_stopped_process_that_wakes_after_its_lease_was_taken_writes_nothing_more(town: SmallTown) -> None:
    asleep = town.begun("v2")
    town.stop(asleep)
    town.turns.pass_time(75)
    town.run(release("v3"), "bob")
    written = len(town.cloud.writes)
    town.wake(asleep)
    assert town.wait_for(asleep).ending is Ending.REFUSED
    assert len(town.cloud.writes) == written
    assert town.share("v3") == 100


# Going on, staying, another share


def test_a_promoted_release_goes_on_at_once(town: SmallTown) -> None:
    shop = town.begun("v2")
    began = town.turns.seconds()
    town.run(promote, "bob")
    assert town.wait_for(shop).ending is Ending.SUCCEEDED
    assert town.turns.seconds() - began < 10


def test_promoting_ends_one_hold_and_promoting_fully_all_of_them(town: SmallTown) -> None:
    shop = town.begun("v2", STAGES)
    town.run(promote, "bob")
    town.turns.pass_time(10)
    assert town.share("v2") == 25
    town.run(promote_fully, "bob")
    town.turns.pass_time(10)
    assert town.wait_for(shop).ending is Ending.SUCCEEDED
    assert town.share("v2") == 100


def test_a_paused_release_stays_until_promoted(town: SmallTown) -> None:
    shop = town.begun("v2", "5% 30s, 100%")
    town.run(steering.pause, "bob")
    town.turns.pass_time(300)
    assert town.share("v2") == 5
    town.run(promote, "bob")
    assert town.wait_for(shop).ending is Ending.SUCCEEDED


def test_a_manual_stage_is_watched_until_a_person_promotes_it(town: SmallTown) -> None:
    shop = town.begun("v2", "5% 30s manual, 25% 10s, 100%")
    town.turns.pass_time(300)
    assert town.share("v2") == 5
    town.run(promote, "bob")
    assert town.wait_for(shop).ending is Ending.SUCCEEDED
    assert town.share("v2") == 100


def test_a_manual_stage_whose_fleet_turns_sick_goes_home(town: SmallTown) -> None:
    shop = town.begun("v2", "5% manual, 100%")
    town.turns.pass_time(60)
    town.cloud.sick.add("v2")
    assert town.wait_for(shop).ending is Ending.FAILED_CLEAN
    assert town.share("v1") == 100


def test_where_a_person_is_waited_for_a_release_can_end_and_be_promoted_later(town: SmallTown) -> None:
    shop = town.begin("ann", release("v2", "5% 30s manual, 25% manual, 100%", hand_over=True))
    waiting = town.wait_for(shop)
    assert waiting.ending.exit_code == 6
    assert "shipit promote" in waiting.next
    assert town.share("v2") == 5
    assert town.run(promote, "bob").ending is Ending.WAITING
    assert town.share("v2") == 25
    assert town.run(promote, "cid").ending is Ending.SUCCEEDED
    assert town.share("v2") == 100


def test_a_release_that_was_handed_over_can_be_aborted(town: SmallTown) -> None:
    town.wait_for(town.begin("ann", release("v2", "5% manual, 100%", hand_over=True)))
    assert town.run(abort).ending is Ending.SUCCEEDED
    assert town.share("v1") == 100
    assert town.versions == ["v1"]


def test_a_resumed_release_waits_for_the_same_person(town: SmallTown) -> None:
    town.kill(town.begun("v2", "5% manual, 100%"))
    town.turns.pass_time(75)
    resumed = town.begin("bob", resume())
    town.turns.pass_time(60)
    assert town.share("v2") == 5
    town.run(promote, "cid")
    assert town.wait_for(resumed).ending is Ending.SUCCEEDED


def test_the_old_fleet_stays_whole_until_a_person_lets_it_go(town: SmallTown) -> None:
    shop = town.begun("v2", "100% manual", at=100)
    town.turns.pass_time(600)
    assert not any(group.parked_until for group in town.cloud.groups.values())
    town.run(promote, "bob")
    assert town.wait_for(shop).ending is Ending.SUCCEEDED
    assert any(group.parked_until for group in town.cloud.groups.values())


@pytest.mark.parametrize("percent", [25, 1, 0, 100])
def test_a_share_that_somebody_asks_for_is_given_and_kept(town: SmallTown, percent: int) -> None:
    town.begun("v2")
    town.run(shift(percent), "bob")
    town.turns.pass_time(5)
    assert town.share("v2") == percent
    town.turns.pass_time(60)
    assert town.share("v2") == percent


def test_a_pause_outlives_a_crash(town: SmallTown) -> None:
    shop = town.begun("v2", "5% 30s, 100%")
    town.run(steering.pause, "bob")
    town.turns.pass_time(3)
    town.kill(shop)
    resumed = town.begin("bob", resume())
    town.turns.pass_time(200)
    assert town.share("v2") == 5
    town.run(promote, "cid")
    assert town.wait_for(resumed).ending is Ending.SUCCEEDED


def test_pausing_is_refused_where_nothing_is_released(town: SmallTown) -> None:
    with pytest.raises(Refused, match="nothing is being released"):
        town.run(steering.pause, "bob")


# Abort and rollback


def test_an_abort_at_five_percent_sends_everything_home(town: SmallTown) -> None:
    shop = town.begun("v2")
    assert town.run(abort, "bob").ending is Ending.SUCCEEDED
    assert town.share("v1") == 100
    assert town.wait_for(shop).ending is Ending.FAILED_CLEAN
    assert town.versions == ["v1"]


def test_an_abort_sends_home_what_is_watched_at_100_percent(town: SmallTown) -> None:
    shop = town.begun("v2", "5% 1s, 100% 10m", at=100)
    town.run(abort, "bob")
    assert town.share("v1") == 100
    town.wait_for(shop)
    assert town.share("v1") == 100


def test_an_abort_during_a_bake_stops_it_before_anything_is_launched(town: SmallTown) -> None:
    shop = town.begin("ann", release("v2"))
    town.turns.pass_time(5)
    assert "was told to stop" in town.run(abort, "bob").reason
    assert town.wait_for(shop).ending is Ending.FAILED_CLEAN
    assert town.versions == ["v1"]


def test_an_abort_with_the_holder_dead_sends_everything_home_and_resume_cleans_up(town: SmallTown) -> None:
    town.kill(town.begun("v2"))
    aborted = town.run(abort, "bob")
    assert town.share("v1") == 100
    assert "does not answer" in aborted.reason
    town.turns.pass_time(75)
    assert town.run(resume(), "bob").ending is Ending.FAILED_CLEAN
    assert town.versions == ["v1"]


def test_an_abort_needs_no_record(town: SmallTown) -> None:
    town.begun("v2")
    town.record.down = Refused("the table is gone")
    aborted = town.run(abort, "bob")
    assert aborted.ending is Ending.SHIPPED_DIRTY
    assert "nothing is cleaned up: the table is gone" in aborted.reason
    assert town.share("v1") == 100


def test_an_abort_without_record_says_what_cleans_up_and_that_does(town: SmallTown) -> None:
    running = town.begun("v2")
    town.record.down = Refused("the table is gone")
    aborted = town.run(abort, "bob")
    assert town.wait_for(running).ending is Ending.REFUSED
    town.record.down = None
    assert aborted.next == "shipit abort once more"
    town.turns.pass_time(75)
    assert town.run(abort, "bob").ending is Ending.SUCCEEDED
    assert (town.share("v1"), town.versions) == (100, ["v1"])
    assert "nothing was under way" in town.run(resume(), "bob").reason


def test_a_rollback_during_a_canary_wins(town: SmallTown) -> None:
    shop = town.begun("v2")
    town.run(rollback, "bob")
    town.wait_for(shop)
    assert town.share("v1") == 100


def test_a_rollback_while_a_release_tidies_wins(town: SmallTown) -> None:
    shop = town.begin("ann", release("v2"))
    town.turns.play(lambda: town.share("v2") == 100)
    assert town.run(rollback, "bob").ending is Ending.SUCCEEDED
    town.wait_for(shop)
    assert town.share("v1") == 100
    assert next(iter(town.cloud.groups.values())).parked_until is None
    assert town.run(release("v3")).ending is Ending.SUCCEEDED, "nobody takes the rollback for somebody else's doing"


# Frozen


def test_a_freeze_refuses_releases_and_says_why_and_allows_rollbacks(town: SmallTown) -> None:
    town.served_by("v2")
    town.run(freeze, "bob")
    refused = town.run(release("v3"))
    assert refused.ending is Ending.REFUSED
    assert "audit" in refused.reason
    assert town.run(resume()).ending is Ending.REFUSED
    assert town.run(rollback).ending is Ending.SUCCEEDED


def test_a_freeze_pauses_a_release_that_runs_and_unfreezing_lets_it_go_on(town: SmallTown) -> None:
    shop = town.begun("v2", "5% 30s, 100%")
    town.run(freeze, "bob")
    town.turns.pass_time(300)
    assert town.share("v2") == 5
    town.run(steering.unfreeze, "bob")
    assert town.wait_for(shop).ending is Ending.SUCCEEDED


def test_whoever_says_so_releases_despite_a_freeze(town: SmallTown) -> None:
    town.run(freeze, "bob")
    assert town.run(release("v2", "5% 10s, 100%", despite_freeze=True)).ending is Ending.SUCCEEDED


def test_freezing_twice_and_unfreezing_what_is_not_frozen_is_refused(town: SmallTown) -> None:
    with pytest.raises(Refused, match="not frozen"):
        town.run(steering.unfreeze)
    town.run(freeze, "bob")
    with pytest.raises(Refused, match="frozen already"):
        town.run(lambda shop: steering.freeze(shop, "another reason"), "cid")


def test_orders_do_not_outlive_the_release_that_they_were_for(town: SmallTown) -> None:
    shop = town.begun("v2")
    town.run(promote_fully, "bob")
    town.wait_for(shop)
    assert town.record.standing.orders == Orders()


def test_a_lost_lease_is_an_ending_and_not_a_crash(town: SmallTown) -> None:
    shop = town.begun("v2")
    town.record.standing = replace(town.record.standing, holder=None)
    ended = town.wait_for(shop)
    assert ended.ending.exit_code == LeaseLost.exit_code == 5
