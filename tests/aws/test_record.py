"""The rest of the record, on the fake, on moto and on the sandbox: orders that reach the holder, a freeze, the history, none."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from shipit.aws.record import NoRecord
from shipit.errors import Refused
from shipit.events import Ended, Steered
from shipit.model import Ending
from shipit.standing import Freeze, Orders, Standing
from tests.contract.records import (
    AIM,
    FREEZE,
    LATER,
    PAUSE,
    WRITTEN,
    Shelf,
    all_are,
    anywhere,
    nobody_is,
    shelf,
)
from tests.fakes.cloud import START
from tests.sandbox.conftest import sandbox

__all__ = ["anywhere", "sandbox", "shelf"]

ALL_ORDERS = Orders(paused=True, promoted=Fraction(1, 3), share=Fraction(25), recall="", by="bob")


# Orders


@pytest.mark.parametrize("orders", [PAUSE, ALL_ORDERS, Orders(share=Fraction("0.1")), Orders()], ids=lambda o: o.by)
def test_orders_reach_the_holder_as_they_were_given(shelf: Shelf, orders: Orders) -> None:
    holder = shelf.taken_by()
    assert shelf.open().order(orders, holder.fence)
    assert shelf.open().renew(holder, LATER).orders == orders


@pytest.mark.parametrize("orders", [PAUSE, Orders()], ids=["pause", "none"])
def test_orders_for_one_who_is_gone_are_not_taken(shelf: Shelf, orders: Orders) -> None:
    assert not shelf.open().order(orders, 0)
    first = shelf.taken_by("ann")
    shelf.open().free(first, AIM)
    assert not shelf.open().order(orders, first.fence)
    second = shelf.taken_by("bob")
    assert not shelf.open().order(orders, first.fence)
    assert shelf.open().read().orders == Orders()
    assert shelf.open().order(orders, second.fence)


def test_orders_wait_for_whoever_goes_on_unless_that_one_starts_afresh(shelf: Shelf) -> None:
    holder = shelf.taken_by("ann")
    shelf.open().order(PAUSE, holder.fence)
    shelf.open().free(holder, AIM)
    assert shelf.open().read().orders == PAUSE
    standing = shelf.open().take(shelf.holder("bob"), dead=nobody_is, keep_orders=True)
    assert (standing.orders, shelf.open().read().orders) == (PAUSE, PAUSE)
    assert shelf.open().take(shelf.holder("eve"), dead=all_are).orders == Orders()
    assert shelf.open().read().orders == Orders()


def test_orders_of_one_who_died_go_to_who_goes_on(shelf: Shelf) -> None:
    shelf.open().order(PAUSE, shelf.taken_by("ann").fence)
    standing = shelf.open().take(shelf.holder("bob"), dead=all_are, keep_orders=True)
    assert (standing.fence, standing.orders) == (2, PAUSE)


def test_orders_that_came_between_two_tries_to_take_are_not_lost(shelf: Shelf) -> None:
    shelf.open().order(PAUSE, shelf.taken_by().fence)
    assert shelf.open().take(shelf.holder(), dead=nobody_is).orders == PAUSE


# The freeze


def test_what_is_frozen_stays_so_whoever_takes_the_lease(shelf: Shelf) -> None:
    shelf.open().freeze(FREEZE)
    assert shelf.open().read() == Standing(freeze=FREEZE)
    assert shelf.open().take(shelf.holder(), dead=nobody_is).freeze == FREEZE


def test_who_freezes_what_is_frozen_is_told_by_whom_since_when_and_why(shelf: Shelf) -> None:
    shelf.open().freeze(FREEZE)
    with pytest.raises(Refused) as raised:
        shelf.open().freeze(Freeze("mine", "bob", START))
    assert raised.value.what == "hello/production is frozen already"
    assert raised.value.why == "by ann, since 2026-01-01 12:00:00 UTC: black friday"
    assert raised.value.next == "shipit unfreeze"


def test_freezing_twice_with_the_same_words_is_freezing_once(shelf: Shelf) -> None:
    shelf.open().freeze(FREEZE)
    shelf.open().freeze(FREEZE)
    assert shelf.open().unfreeze()
    assert not shelf.open().unfreeze()
    assert shelf.open().read() == Standing()


def test_what_was_never_frozen_is_not_unfrozen(shelf: Shelf) -> None:
    assert not shelf.open().unfreeze()
    holder = shelf.taken_by()
    assert not shelf.open().unfreeze()
    assert shelf.open().read().holder == holder


# History


def test_history_tells_endings_and_orders_newest_first(shelf: Shelf) -> None:
    ended = Ended(at=START, command="release", ending=Ending.SUCCEEDED, version="v1")
    steered = Steered(at=LATER, command="pause", order="no share grows until promoted", who="bob", where="laptop")
    for event in (steered, ended):
        shelf.open().append(event)
    assert list(shelf.open().history(5)) == [steered, ended]
    assert list(shelf.open().history(1)) == [steered]


# None


def test_a_record_that_is_switched_off_keeps_nothing_and_stops_nobody(shelf: Shelf) -> None:
    record, holder = NoRecord(), shelf.holder()
    assert record.take(holder, dead=nobody_is) == Standing(holder=holder)
    assert record.renew(holder, LATER, WRITTEN, AIM) == Standing(holder=replace(holder, until=LATER))
    assert not record.order(PAUSE, 0)
    record.free(holder, AIM)
    record.append(Ended(at=START, command="release", ending=Ending.SUCCEEDED))
    assert (record.read(), list(record.history(5))) == (Standing(), [])


def test_a_record_that_is_switched_off_cannot_freeze() -> None:
    with pytest.raises(Refused) as raised:
        NoRecord().freeze(FREEZE)
    assert "record:" in raised.value.next
    with pytest.raises(Refused):
        NoRecord().unfreeze()


def test_whoever_is_called_off_stays_called_off_whatever_else_is_asked(shelf: Shelf) -> None:
    holder = shelf.taken_by()
    assert shelf.open().order(Orders(recall="hello-v1", by="bob"), holder.fence)
    assert not shelf.open().order(PAUSE, holder.fence)
    assert shelf.open().renew(holder, LATER).orders.recall == "hello-v1"


def test_what_called_off_the_holder_before_keeps_nobody_from_steering_the_next(shelf: Shelf) -> None:
    shelf.open().order(Orders(recall="hello-v1", by="bob"), shelf.taken_by("ann").fence)
    second = shelf.open().take(shelf.holder("eve"), dead=all_are)
    assert shelf.open().order(PAUSE, second.fence)
