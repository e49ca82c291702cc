"""The right to act on one app and environment, and the ear for those who steer: one process has it at a time.

A thread renews it every second, and hears in the same breath what others ask. Before every write to AWS it is checked on
our own clock, before a write of traffic in the record itself; one that lost it writes nothing more.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from shipit.errors import LeaseLost, Recalled, ShipitError, Stale
from shipit.ports import Record
from shipit.standing import CALLED_OFF, LEASE_SECONDS, SKEW_SECONDS, Aim, Holder, Orders, Standing, Written

BEAT_SECONDS = 1.0
# How long a release stays where it is, watched, once its lease may be over and the record cannot be reached.
DEAF_SECONDS = 120.0
# How long asking the record may take before what was looked at right before it is too old to write upon.
FRESH_SECONDS = 2.0
TRAFFIC = frozenset({"ModifyListener", "ModifyRule"})


def _seconds_awake_or_asleep() -> float:
    """A clock that nobody sets and that goes on while the machine sleeps, where there is one (clock_gettime(2))."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Lease:
    """Implements `ports.Control`. Until `take`, and after `free`, it holds nothing, hears nothing and forbids nothing.

    `now` is the time that is written down, `seconds` a clock that nobody sets; `sleep` waits, and may be ended from outside.
    `nudge` is called when orders have changed. Where it is not kept `in_background`, somebody else calls `beat`.
    """

    def __init__(
        self,
        record: Record,
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
        seconds: Callable[[], float] = _seconds_awake_or_asleep,
        nudge: Callable[[], None] = lambda: None,
        in_background: bool = True,
    ) -> None:
        self._record = record
        self._now = now
        self._seconds = seconds
        self._sleep = sleep
        self._nudge = nudge
        self._in_background = in_background
        self.despite_freeze = False
        self._lock = threading.Lock()
        self._beating = threading.Lock()
        self._ended = threading.Event()
        self._holder: Holder | None = None
        self._standing = Standing()
        self._safe_until = 0.0
        self._news: dict[str, Written | Aim] = {}
        self._new_aim = False
        self._heard: str | None = None
        self._lost: LeaseLost | None = None
        self._unreachable = ""

    @property
    def held(self) -> bool:
        return self._holder is not None

    @property
    def written_down(self) -> bool:
        """False where nothing is kept: `record: none`."""
        return self._record.kept

    def take(self, holder: Holder, *, dead: Callable[[Holder], bool], keep_orders: bool = False) -> Standing:
        """Takes the lease and keeps it; what was told before is written down along with it. Raises what `ports.Record.take`
        raises.
        """
        began, news = self._seconds(), dict(self._news)
        self._standing = self._record.take(holder, dead=dead, keep_orders=keep_orders, **news)  # type: ignore[arg-type]
        self._sent(news)
        self._safe_until = began + LEASE_SECONDS - SKEW_SECONDS if self._standing.fence else math.inf
        self._holder = replace(holder, fence=self._standing.fence)
        if self._standing.fence and self._in_background:
            threading.Thread(target=self._keep, daemon=True, name="lease").start()
        return self._standing

    def free(self, aim: Aim | None, written: Written | None = None) -> None:
        """Gives it back. Raises `ShipitError` when the record cannot be reached: then it ends by itself."""
        self._ended.set()
        with self._beating:
            holder = self._holder
            if holder is None or self._lost:
                return
            self._holder = None
            if holder.fence:
                self._record.free(holder, aim, written or self._pending_split())

    @property
    def aim(self) -> Aim | None:
        """The goal as it was told last."""
        told = self._news.get("aim")
        return told if isinstance(told, Aim) else self._standing.aim

    def orders(self) -> Orders:
        standing = self._standing
        freeze = standing.freeze
        if self.held and self._unreachable and self._overdue:
            return replace(standing.orders, paused=True, by="a record that cannot be reached")
        if freeze is None or self.despite_freeze or not self.held:
            return standing.orders
        return replace(standing.orders, paused=True, by=f"the freeze of {freeze.who} ({freeze.reason})")

    def overlook(self) -> None:
        """Does not hear a recall that stood before: it was for somebody else."""
        self._heard = self._standing.orders.recall

    def adopt(self, orders: Orders) -> None:
        """Works under these orders from now on, as if they had been left for us. Raises `ShipitError`."""
        if self._holder:
            self._record.order(orders, self._holder.fence)
            self._standing = replace(self._standing, orders=orders)

    def tell(self, *, phase: str = "", written: Written | None = None, aim: Aim | None = None) -> None:
        with self._lock:
            if phase and self._holder:
                self._holder = replace(self._holder, phase=phase)
            self._news |= {"written": written} if written else {}
            self._news |= {"aim": aim} if aim else {}
            self._new_aim = self._new_aim or aim is not None

    def guard(self, operation: str) -> None:
        """Raises `LeaseLost` or `Recalled` where the write must not be sent; waits where that cannot be known. Raises `Stale` after
        a wait: somebody who needs no record, a rollback, may have moved traffic meanwhile.
        """
        if not self.held:
            return
        began = self._seconds()
        if self._owes_aim() or self._overdue or (operation in TRAFFIC and not self._alone_on_the_way_home):
            self.beat()
        while self._deaf_to(operation):
            self._sleep(BEAT_SECONDS)  # which checks
            self.beat()
        self.check()
        waited = self._seconds() - began
        if waited > FRESH_SECONDS:
            raise Stale(f"{operation} was not sent", f"the record let it wait for {waited:.0f} s", "shipit resume")

    @property
    def _alone_on_the_way_home(self) -> bool:
        """A way home is taken without a record that is known not to answer: asking it again would only take time."""
        return bool(self._unreachable) and self._goes_home()

    @property
    def _overdue(self) -> bool:
        """Somebody else may have taken the lease by now, as far as our own clock can tell."""
        return self._seconds() > self._safe_until

    def _deaf_to(self, operation: str) -> bool:
        """Whether we may have been called off, or replaced, in a record that we cannot read. Only a way home is taken all the
        same: like `abort`, it rests on the look at the listener right before it.
        """
        if self._lost or not self._unreachable:
            return False
        return not self._goes_home() if operation in TRAFFIC else self._overdue

    def check(self) -> None:
        """Raises what has been heard: `LeaseLost` each time, `Recalled` once."""
        if not self.held:
            return
        if self._lost:
            raise self._lost
        if self._unreachable and self._seconds() > self._safe_until + DEAF_SECONDS:
            raise LeaseLost("the lease could not be renewed", self._unreachable, "shipit status, then shipit resume")
        recall = self._standing.orders.recall
        if recall is not None and recall != self._heard:
            self._heard = recall
            self.tell(phase=CALLED_OFF)
            raise Recalled(recall, self._standing.orders.by)

    def _goes_home(self) -> bool:
        aim = self.aim
        return aim is not None and (aim.retreat or aim.instant)

    def _owes_aim(self) -> bool:
        """Whether this is the first write for a goal that is not written down yet: who goes on must not find an older one.
        Said once for each, so that a record that does not answer holds up one write, not all of them.
        """
        with self._lock:
            owes, self._new_aim = self._new_aim and "aim" in self._news, False
        return owes

    def beat(self) -> None:
        """Renews the lease, writes down what was told, and hears what others ask; never raises."""
        with self._beating:
            with self._lock:
                holder, news = self._holder, dict(self._news)
            if holder is None or not holder.fence or self._lost:
                return
            began = self._seconds()
            until = self._now() + timedelta(seconds=LEASE_SECONDS)
            try:
                standing = self._record.renew(holder, until, **news)  # type: ignore[arg-type]
            except LeaseLost as lost:
                self._miss(lost)
            except ShipitError as error:
                self._unreachable = f"{error.what}: {error.why}"
            else:
                self._safe_until, self._unreachable = began + LEASE_SECONDS - SKEW_SECONDS, ""
                self._sent(news)
                self._hear(standing)

    def _miss(self, lost: LeaseLost) -> None:
        """Gone is gone when somebody has it; an item or a table that is no more may come back, and is nobody's."""
        if lost.taken:
            self._lost = lost
        else:
            self._unreachable = f"{lost.what}: {lost.why}"

    def _sent(self, news: Mapping[str, Written | Aim]) -> None:
        with self._lock:
            self._news = {key: told for key, told in self._news.items() if told is not news.get(key)}

    def _hear(self, standing: Standing) -> None:
        changed = self._standing.orders != standing.orders or self._standing.freeze != standing.freeze
        self._standing = standing
        if changed:
            self._nudge()

    def _keep(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            self.beat()
            if self._lost:
                self._nudge()
                return

    def _pending_split(self) -> Written | None:
        told = self._news.get("written")
        return told if isinstance(told, Written) else None
