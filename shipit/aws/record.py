"""The record in DynamoDB: who acts, towards which goal, what was asked and frozen, and the history.

Comfort and order between two releases, never safety. botocore sends a write again when its answer was lost; the second one
then finds that its condition does not hold. So each failed condition is first compared with what was wanted: our own write.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import islice

from shipit.aws import lease
from shipit.aws.answers import frozen, held, lost
from shipit.aws.session import Session
from shipit.aws.state import Item, standing_of, text
from shipit.aws.table import Change, Table, Unmet
from shipit.errors import Refused
from shipit.events import Ended, Steered, parse_event, to_json
from shipit.ports import Clock
from shipit.standing import Aim, Freeze, Holder, Orders, Standing, Written

_STATE = "state"
_EVENT = "event#"


class DynamoRecord:
    """Implements `ports.Record`. The table is made at the first write, when that is permitted."""

    kept = True

    def __init__(self, session: Session, clock: Clock, table: str, app: str, env: str) -> None:
        self._clock = clock
        self._table = Table(session, clock, table, f"{app}/{env}")

    def read(self) -> Standing:
        return self._standing(self._table.get(_STATE))

    def take(
        self,
        holder: Holder,
        *,
        dead: Callable[[Holder], bool],
        keep_orders: bool = False,
        written: Written | None = None,
        aim: Aim | None = None,
    ) -> Standing:
        taking = lease.Taking(holder, keep_orders, written, aim)
        change = taking.vacant(self._clock.now())
        while True:  # goes round again only when somebody else wrote in between
            try:
                return self._standing(self._table.begin(_STATE, change))
            except Unmet as unmet:
                change = self._other_way(taking, self._standing(unmet.item), dead)

    def renew(
        self, holder: Holder, until: datetime, written: Written | None = None, aim: Aim | None = None
    ) -> Standing:
        try:
            change = lease.renewing(replace(holder, until=until), written, aim)
            return self._standing(self._table.change(_STATE, change))
        except Unmet as unmet:
            raise lost(holder, self._standing(unmet.item).holder) from None

    def free(self, holder: Holder, aim: Aim | None, written: Written | None = None) -> None:
        with suppress(Unmet):
            self._table.change(_STATE, lease.freeing(holder, written, aim))

    def order(self, orders: Orders, fence: int) -> bool:
        try:
            self._table.change(_STATE, lease.ordering(orders, fence))
        except Unmet as unmet:
            # Ours may have been left right before another holder went on, with the orders that it found.
            there = self._standing(unmet.item)
            return there.holder is not None and there.orders == orders != Orders()
        return True

    def freeze(self, freeze: Freeze) -> None:
        try:
            self._table.begin(_STATE, lease.freezing(freeze))
        except Unmet as unmet:
            there = self._standing(unmet.item).freeze
            if there and there != freeze:
                raise frozen(self._table.key, there) from None

    def unfreeze(self) -> bool:
        if "freeze" not in self._table.get(_STATE):
            return False
        # It is gone in any case: when not by this write, then by an earlier try of it, or by somebody at the same moment.
        with suppress(Unmet):
            self._table.change(_STATE, lease.unfreezing())
        return True

    def append(self, event: Ended | Steered) -> None:
        sk = f"{_EVENT}{event.at.isoformat(timespec='milliseconds')}#{os.urandom(4).hex()}"
        # That there is one already means that an earlier try took effect: nobody else draws the same name.
        with suppress(Unmet):
            self._table.begin(sk, Change("attribute_not_exists(#event)", sets={"event": text(to_json(event))}))

    def history(self, limit: int) -> Sequence[Ended | Steered]:
        events = (_event(item) for item in self._table.newest(_EVENT, limit))
        return tuple(islice((event for event in events if event), limit))

    def _other_way(self, taking: lease.Taking, there: Standing, dead: Callable[[Holder], bool]) -> Change:
        """What to write instead, after a condition that did not hold. Raises `errors.Held`."""
        if there.holder is None:
            return taking.vacant(self._clock.now())
        if there.holder.id == taking.holder.id:
            return taking.again(there.fence)
        if dead(there.holder):
            return taking.from_dead(there.holder)
        raise held(there.holder)

    def _standing(self, item: Item) -> Standing:
        try:
            return standing_of(item)
        except ValueError as error:
            key = f'{{"pk": {{"S": "{self._table.key}"}}, "sk": {{"S": "{_STATE}"}}}}'
            raise Refused(
                f"the record of {self._table.key} cannot be read",
                str(error),
                f"mend it, or: aws dynamodb delete-item --table-name {self._table.name} --key '{key}'",
            ) from error


class NoRecord:
    """`record: none`: nothing is kept, and nobody is kept apart."""

    kept = False

    def read(self) -> Standing:
        return Standing()

    def take(
        self,
        holder: Holder,
        *,
        dead: Callable[[Holder], bool],
        keep_orders: bool = False,
        written: Written | None = None,
        aim: Aim | None = None,
    ) -> Standing:
        return Standing(holder=holder)

    def renew(
        self, holder: Holder, until: datetime, written: Written | None = None, aim: Aim | None = None
    ) -> Standing:
        return Standing(holder=replace(holder, until=until))

    def free(self, holder: Holder, aim: Aim | None, written: Written | None = None) -> None:
        return None

    def order(self, orders: Orders, fence: int) -> bool:
        return False

    def freeze(self, freeze: Freeze) -> None:
        raise _no_freeze()

    def unfreeze(self) -> bool:
        raise _no_freeze()

    def append(self, event: Ended | Steered) -> None:
        return None

    def history(self, limit: int) -> Sequence[Ended | Steered]:
        return ()


def _no_freeze() -> Refused:
    return Refused(
        "a freeze has no place to be kept",
        "shipit.yml says record: none",
        "name a DynamoDB table there: `record: shipit`",
    )


def _event(item: Item) -> Ended | Steered | None:
    """None for one that a later shipit wrote and this one does not know."""
    try:
        event = parse_event(item["event"]["S"])
    except (KeyError, ValueError):
        return None
    return event if isinstance(event, Ended | Steered) else None
