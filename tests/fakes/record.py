"""The official fake of `ports.Record`: one record in memory, shared by all who are given it, as terminals share a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shipit.aws.answers import frozen, held, lost
from shipit.errors import ShipitError
from shipit.events import Ended, Steered
from shipit.ports import Clock
from shipit.standing import SKEW_SECONDS, Aim, Freeze, Holder, Orders, Standing, Written


@dataclass
class FakeRecord:
    """Implements `ports.Record`.

    `down` is raised by every call while it is set, `fail_next` once by the method of that name; both before any effect.
    """

    clock: Clock
    standing: Standing = field(default_factory=Standing)
    events: list[Ended | Steered] = field(default_factory=list)
    place: str = "hello/production"
    fail_next: dict[str, ShipitError] = field(default_factory=dict)
    down: ShipitError | None = None
    kept: bool = True

    def read(self) -> Standing:
        self._called("read")
        return self.standing

    def take(
        self,
        holder: Holder,
        *,
        dead: Callable[[Holder], bool],
        keep_orders: bool = False,
        written: Written | None = None,
        aim: Aim | None = None,
    ) -> Standing:
        self._called("take")
        theirs = self.standing.holder
        again = theirs is not None and theirs.id == holder.id
        if theirs and not again and not self._expired(theirs) and not dead(theirs):
            raise held(theirs)
        fence = self.standing.fence if again else self.standing.fence + 1
        orders = self.standing.orders if again or keep_orders else Orders()
        return self._write(
            fence=fence,
            holder=replace(holder, fence=fence),
            orders=orders,
            written=written or self.standing.written,
            aim=aim or self.standing.aim,
        )

    def renew(
        self, holder: Holder, until: datetime, written: Written | None = None, aim: Aim | None = None
    ) -> Standing:
        self._called("renew")
        if not self._holds(holder):
            raise lost(holder, self.standing.holder)
        return self._write(
            holder=replace(holder, until=until),
            written=written or self.standing.written,
            aim=aim or self.standing.aim,
        )

    def free(self, holder: Holder, aim: Aim | None, written: Written | None = None) -> None:
        self._called("free")
        if self._holds(holder):
            orders = self.standing.orders if aim else Orders()
            self._write(holder=None, aim=aim, written=written or self.standing.written, orders=orders)

    def order(self, orders: Orders, fence: int) -> bool:
        self._called("order")
        if self.standing.holder is None:
            return False
        if orders.recall is None and self.standing.fence == fence and self.standing.orders.recall is not None:
            return False
        if self.standing.fence == fence:
            self._write(orders=orders)
        return self.standing.orders == orders and (self.standing.fence == fence or orders != Orders())

    def freeze(self, freeze: Freeze) -> None:
        self._called("freeze")
        if self.standing.freeze not in (None, freeze):
            raise frozen(self.place, self.standing.freeze)
        self._write(freeze=freeze)

    def unfreeze(self) -> bool:
        self._called("unfreeze")
        was = self.standing.freeze
        self._write(freeze=None)
        return was is not None

    def append(self, event: Ended | Steered) -> None:
        self._called("append")
        self.events.append(event)

    def history(self, limit: int) -> Sequence[Ended | Steered]:
        self._called("history")
        return tuple(sorted(self.events, key=lambda event: event.at)[::-1][:limit])

    def _called(self, method: str) -> None:
        error = self.down or self.fail_next.pop(method, None)
        if error:
            raise error

    def _write(self, **changes: object) -> Standing:
        self.standing = replace(self.standing, **changes)  # type: ignore[arg-type]
        return self.standing

    def _holds(self, holder: Holder) -> bool:
        there = self.standing.holder
        return there is not None and (there.id, there.fence) == (holder.id, holder.fence)

    def _expired(self, holder: Holder) -> bool:
        return holder.until < self.clock.now() - timedelta(seconds=SKEW_SECONDS)
