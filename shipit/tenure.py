"""Taking the lease: queueing behind another command, taking over from a dead one, and calling off one that runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from shipit import machine
from shipit.errors import Held, Interrupted, ShipitError
from shipit.events import Started
from shipit.model import Mood, Verdict, Version
from shipit.release.goal import Goal
from shipit.reporting import note
from shipit.standing import CALLED_OFF, LEASE_SECONDS, SKEW_SECONDS, Holder, Orders, Standing
from shipit.value import value
from shipit.wiring import Shop

# How long to watch that a release which was called off does not move traffic again.
WATCH_SECONDS = 4.0
LOOK_SECONDS = 0.25
# How long one that was told to go home may take: it drains what it launched, or its lease ends.
LONGEST_WAIT_SECONDS = 180.0
# How often to try anew when the lease changes hands between two looks at it.
ATTEMPTS = 3
OURS = Verdict(Mood.GOOD, "nobody else is at it")


@value()
class Patience:
    """How long to queue behind another command; `outlive` waits for the lease of one that gives no sign of life."""

    seconds: float = 0.0
    outlive: bool = False


def take(shop: Shop, command: str, version: Version, patience: Patience, *, keep_orders: bool = False) -> Standing:
    """Takes the lease. Raises `errors.Held` when somebody else keeps it for longer than `patience`."""
    if not shop.lease.written_down:
        note(
            shop,
            "record: none, so nothing keeps two releases apart, nobody can steer this one, and there is no history",
        )
    began, first = shop.clock.now(), None
    while True:
        try:
            holder = _holder(shop, command, version)
            return shop.lease.take(holder, dead=lambda other: machine.ended(other.mark), keep_orders=keep_orders)
        except Held as held:
            there = shop.record.read().holder
            if shop.clock.now() - began >= timedelta(seconds=_longest(patience, first or there, there)):
                raise
            if not first:
                note(shop, f"waiting: {held.what} ({held.why})")
            first = first or there
        shop.clock.sleep(1.0)


@contextmanager
def holding(shop: Shop, command: str) -> Iterator[None]:
    """The lease for as long as the block runs; what could be resumed before can be resumed afterwards. Raises `Held`."""
    standing = take(shop, command, Version(""), Patience(), keep_orders=True)
    shop.lease.overlook()
    try:
        yield
    finally:
        shop.lease.free(standing.aim)


def call_off(shop: Shop, started: Started, goal: Goal) -> Verdict:
    """Takes the lease for a command that asked nobody before it moved traffic; or tells the one that has it to stop, and
    watches that traffic stays where it is now. GOOD when this process is to clean up; NOT_YET when the other one does, and
    BAD when nobody does for now, with who and why in words.
    """
    try:
        for _ in range(ATTEMPTS):
            try:
                take(shop, started.command, goal.version, Patience())
            except Held as held:
                told = _tell(shop, goal, held)
            else:
                _hold_fast(shop, goal)
                return OURS
            if told:
                return told
    except Interrupted:
        raise
    except ShipitError as error:
        # Somebody may be at work: then what it works with is not ours to clean up.
        return Verdict(
            Mood.BAD, f"who else is at it cannot be read, so nothing is cleaned up: {error.what} ({error.why})"
        )
    return Verdict(Mood.BAD, "the lease changes hands all the time, so nothing is cleaned up")


def take_after(shop: Shop, command: str, goal: Goal) -> None:
    """Takes the lease for a command that has to launch something before it can move traffic: whoever has it is told to go
    home, and waited for. Raises `errors.Held` when that one is still at it after `LONGEST_WAIT_SECONDS`.
    """
    try:
        take(shop, command, goal.version, Patience())
    except Held as held:
        standing = shop.record.read()
        shop.record.order(Orders(recall="", by=shop.who), standing.fence)
        note(shop, f"{held.what} and was told to stop; waiting until it has cleaned up")
        take(shop, command, goal.version, Patience(LONGEST_WAIT_SECONDS))


def running(standing: Standing, now: datetime) -> Holder | None:
    """Who is at it, as far as that can be known: not one whose lease is over, nor one whose process here has ended."""
    holder = standing.holder
    if holder is None or machine.ended(holder.mark):
        return None
    return holder if (now - holder.until).total_seconds() <= SKEW_SECONDS else None


def _tell(shop: Shop, goal: Goal, held: Held) -> Verdict | None:
    """None when there is nobody any more who could be told."""
    try:
        standing = shop.record.read()
        holder = standing.holder
        told = holder and shop.record.order(Orders(recall=goal.fleet or "", by=shop.who), standing.fence)
    except Interrupted:
        raise
    except ShipitError as error:
        return Verdict(Mood.BAD, f"{held.what} and could not be told to stop: {error.what} ({error.why})")
    return _watch(shop, goal, holder) if holder and told else None


def _watch(shop: Shop, goal: Goal, holder: Holder) -> Verdict | None:
    """Until it has understood, or has left: traffic that it moves meanwhile is moved back."""
    name = f"the {holder.command} of {holder.version or shop.config.app} ({holder.who}, {holder.where})"
    end = shop.clock.now() + timedelta(seconds=WATCH_SECONDS)
    while shop.clock.now() < end:
        # Read before traffic is looked at: what it wrote until then is seen.
        there = _read(shop)
        _move_back(shop, goal)
        if there and (there.holder is None or there.fence != holder.fence):
            return None
        if there and _has_understood(there):
            return Verdict(Mood.NOT_YET, f"{name} was told to stop, and cleans up")
        shop.clock.sleep(LOOK_SECONDS)
    return Verdict(
        Mood.BAD, f"{name} was told to stop, but does not answer; what it made is there until its lease is over"
    )


def _has_understood(there: Standing) -> bool:
    called_off = there.holder is not None and there.holder.phase == CALLED_OFF
    return called_off or bool(there.aim and there.aim.why)


def _hold_fast(shop: Shop, goal: Goal) -> None:
    """Where nothing is written down, a release that runs cannot be told: it stops when it sees that traffic has moved."""
    end = shop.clock.now() + timedelta(seconds=0 if shop.lease.written_down else WATCH_SECONDS)
    while shop.clock.now() < end:
        _move_back(shop, goal)
        shop.clock.sleep(LOOK_SECONDS)


def _read(shop: Shop) -> Standing | None:
    """None while the record cannot be read: traffic is watched all the same."""
    try:
        return shop.record.read()
    except Interrupted:
        raise
    except ShipitError:
        return None


def _move_back(shop: Shop, goal: Goal) -> None:
    """One try of several: whoever moves traffic at this very moment, and an answer of AWS that is late, end no watch."""
    try:
        observed = shop.engine.look(goal)
        if goal.fleet in observed.fleets and observed.split.percent(goal.fleet or "") != 100:
            shop.engine.ship(goal, observed)
    except Interrupted:
        raise
    except ShipitError as error:
        note(shop, f"traffic could not be looked after: {error.what} ({error.why})")


def _longest(patience: Patience, first: Holder | None, now: Holder | None) -> float:
    """A live holder renews every second; one that has not since we came is worth waiting for the end of its lease."""
    silent = patience.outlive and first is not None and first == now
    return max(patience.seconds, LEASE_SECONDS + SKEW_SECONDS + 5) if silent else patience.seconds


def _holder(shop: Shop, command: str, version: Version) -> Holder:
    now = shop.clock.now()
    return Holder(
        id=os.urandom(8).hex(),
        command=command,
        version=version.name,
        who=shop.who,
        where=shop.where,
        mark=machine.mark(),
        since=now,
        until=now + timedelta(seconds=LEASE_SECONDS),
    )
