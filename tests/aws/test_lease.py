"""The lease, on the fake, on moto and on the sandbox: at most one holder, and one that lost it is told before it writes."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from shipit.errors import Held, LeaseLost
from shipit.standing import LEASE_SECONDS, SKEW_SECONDS, Standing, Written
from tests.contract.records import (
    AIM,
    FREEZE,
    LATER,
    PAUSE,
    WRITTEN,
    Shelf,
    anywhere,
    nobody_is,
    one_at_a_time,
    shelf,
)
from tests.sandbox.conftest import sandbox

__all__ = ["anywhere", "sandbox", "shelf"]


# Taking it


def test_nothing_stands_before_the_first_write(shelf: Shelf) -> None:
    assert shelf.open().read() == Standing()


def test_who_takes_the_lease_is_seen_by_all(shelf: Shelf) -> None:
    holder = shelf.holder()
    standing = shelf.open().take(holder, dead=nobody_is)
    assert standing == Standing(fence=1, holder=replace(holder, fence=1))
    assert shelf.open().read() == standing


def test_a_second_one_is_told_who_has_it_since_when_and_until_when(shelf: Shelf) -> None:
    holder = replace(shelf.taken_by("ann"), phase="shifting to 25%")
    shelf.open().renew(holder, LATER)
    with pytest.raises(Held) as raised:
        shelf.open().take(shelf.holder("bob", command="rollback"), dead=nobody_is)
    assert raised.value.what == "release of v2 is running"
    assert raised.value.why == (
        "by ann from laptop, since 2026-01-01 12:00:00 UTC, shifting to 25%; "
        "its lease ends at 2026-01-01 12:05:00 UTC unless it is renewed"
    )
    assert raised.value.next == "shipit status; shipit abort sends traffic home; --wait 10m queues"


def test_a_lease_lasts_until_its_end_and_as_long_as_clocks_may_differ(shelf: Shelf) -> None:
    shelf.taken_by("ann")
    shelf.clock.sleep(LEASE_SECONDS + SKEW_SECONDS)
    with pytest.raises(Held):
        shelf.open().take(shelf.holder("bob"), dead=nobody_is)
    shelf.clock.sleep(0.001)
    assert shelf.taken_by("bob").fence == 2


def test_a_holder_whose_process_is_known_to_have_ended_is_not_waited_for(shelf: Shelf) -> None:
    ann = shelf.taken_by("ann")
    standing = shelf.open().take(shelf.holder("bob"), dead=lambda holder: holder == ann)
    assert (standing.fence, standing.holder) == (2, shelf.holder("bob", fence=2))


def test_taking_twice_is_taking_once_and_prolongs(shelf: Shelf) -> None:
    shelf.taken_by("ann")
    shelf.clock.sleep(20)
    again = shelf.taken_by("ann")
    assert (again.fence, again.until) == (1, shelf.clock.now() + timedelta(seconds=LEASE_SECONDS))


def test_taking_again_what_ran_out_meanwhile_is_still_the_same_lease(shelf: Shelf) -> None:
    shelf.taken_by("ann")
    shelf.clock.sleep(10 * LEASE_SECONDS)
    assert shelf.taken_by("ann").fence == 1


def test_fences_grow_and_never_start_anew(shelf: Shelf) -> None:
    fences = []
    for name in ("ann", "bob", "ann", "eve"):
        holder = shelf.taken_by(name)
        fences.append(holder.fence)
        shelf.open().free(holder, None)
    assert fences == [1, 2, 3, 4]
    assert shelf.open().read() == Standing(fence=4)


def test_of_many_at_once_exactly_one_gets_it(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    one_at_a_time(monkeypatch)
    shelf.open().freeze(FREEZE)
    gate, answers = threading.Barrier(8), []

    def take(name: str) -> None:
        record, holder = shelf.open(), shelf.holder(name)
        gate.wait()
        try:
            answers.append(record.take(holder, dead=nobody_is).fence)
        except Held:
            answers.append(0)

    takers = [threading.Thread(target=take, args=(f"taker-{n}",)) for n in range(8)]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join()
    assert sorted(answers) == [0] * 7 + [1]


# Renewing it, and giving it back


def test_a_renewal_prolongs_and_notes_what_is_done_and_what_is_wanted(shelf: Shelf) -> None:
    holder = replace(shelf.taken_by(), phase="holding at 5%")
    standing = shelf.open().renew(holder, LATER, WRITTEN, AIM)
    assert standing == Standing(1, replace(holder, until=LATER), AIM, written=WRITTEN)
    assert shelf.open().read() == standing


def test_a_renewal_that_has_nothing_to_note_leaves_what_was_noted(shelf: Shelf) -> None:
    holder = shelf.taken_by()
    shelf.open().renew(holder, LATER, WRITTEN, AIM)
    standing = shelf.open().renew(holder, LATER)
    assert (standing.written, standing.aim) == (WRITTEN, AIM)


def test_a_renewal_brings_the_orders_and_the_freeze_that_came_meanwhile(shelf: Shelf) -> None:
    holder = shelf.taken_by()
    shelf.open().order(PAUSE, holder.fence)
    shelf.open().freeze(FREEZE)
    standing = shelf.open().renew(holder, LATER)
    assert (standing.orders, standing.freeze) == (PAUSE, FREEZE)


def test_a_holder_that_wakes_after_losing_its_lease_is_told_who_has_it(shelf: Shelf) -> None:
    sleeper = shelf.taken_by("ann")
    shelf.clock.sleep(5 * LEASE_SECONDS)
    shelf.taken_by("bob")
    with pytest.raises(LeaseLost) as raised:
        shelf.open().renew(sleeper, shelf.clock.now(), WRITTEN, AIM)
    assert raised.value.why == "release of v2 has it, by bob from laptop, since 2026-01-01 12:05:00 UTC"
    assert (shelf.open().read().written, shelf.open().read().aim) == (Written(), None)


def test_a_lease_that_was_given_back_or_never_taken_cannot_be_renewed(shelf: Shelf) -> None:
    with pytest.raises(LeaseLost, match="lost its lease"):
        shelf.open().renew(shelf.holder(), LATER)
    holder = shelf.taken_by()
    shelf.open().free(holder, AIM)
    with pytest.raises(LeaseLost) as raised:
        shelf.open().renew(holder, LATER)
    assert raised.value.why == "nobody has it any more"


def test_an_earlier_lease_of_the_same_name_is_not_the_lease(shelf: Shelf) -> None:
    first = shelf.taken_by()
    shelf.open().free(first, None)
    second = shelf.taken_by()
    with pytest.raises(LeaseLost):
        shelf.open().renew(first, LATER)
    shelf.open().free(first, AIM)
    assert shelf.open().read() == Standing(fence=2, holder=second)


def test_who_stops_leaves_the_goal_and_the_next_one_finds_it(shelf: Shelf) -> None:
    shelf.open().free(shelf.taken_by("ann"), AIM, WRITTEN)
    assert shelf.open().read() == Standing(1, aim=AIM, written=WRITTEN)
    assert shelf.open().take(shelf.holder("bob"), dead=nobody_is).aim == AIM


def test_who_asked_nobody_before_writes_down_what_was_done_along_with_the_lease(shelf: Shelf) -> None:
    holder = shelf.holder("ann")
    standing = shelf.open().take(holder, dead=nobody_is, written=WRITTEN, aim=AIM)
    assert standing == Standing(1, replace(holder, fence=1), aim=AIM, written=WRITTEN)
    assert shelf.open().take(holder, dead=nobody_is, written=WRITTEN, aim=AIM) == standing, "an answer that was lost"


def test_a_lease_that_is_taken_over_keeps_what_was_written_before(shelf: Shelf) -> None:
    shelf.open().renew(shelf.taken_by("ann"), LATER, WRITTEN, AIM)
    standing = shelf.open().take(shelf.holder("bob"), dead=lambda _: True)
    assert (standing.written, standing.aim) == (WRITTEN, AIM)


def test_who_is_done_leaves_no_goal_and_no_orders(shelf: Shelf) -> None:
    holder = shelf.taken_by()
    shelf.open().renew(holder, LATER, WRITTEN, AIM)
    shelf.open().order(PAUSE, holder.fence)
    shelf.open().free(holder, None)
    assert shelf.open().read() == Standing(1, written=WRITTEN)


def test_giving_back_twice_or_what_was_lost_is_no_error(shelf: Shelf) -> None:
    ann = shelf.taken_by("ann")
    shelf.open().free(ann, None)
    bob = shelf.taken_by("bob")
    shelf.open().free(ann, AIM)
    assert shelf.open().read() == Standing(2, bob)


def test_giving_back_where_nothing_is_kept_is_no_error(shelf: Shelf) -> None:
    shelf.open().free(shelf.holder(), AIM)
    assert shelf.open().read() == Standing()
