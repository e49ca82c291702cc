"""The conditional writes that keep two releases apart (field notes E1), each as one change of the state item.

The fence is counted by DynamoDB and never starts anew: the item stays when the lease is given back.
"""

from __future__ import annotations

from datetime import datetime

from shipit.aws.state import Attribute, document, holder_document, number, text
from shipit.aws.table import Change
from shipit.standing import SKEW_SECONDS, Aim, Freeze, Holder, Orders, Written
from shipit.value import value

_NEXT_FENCE = "if_not_exists(#fence, :zero) + :one"
_STILL = "#owner = :still AND #fence = :with"
# How `state.document` writes an order to go home.
_CALLED_OFF = '"recall": "'
_ORDERS = ("orders", "orders_fence")


@value()
class Taking:
    """The ways to a lease for `holder`; orders of the one before are kept or dropped along with it. What is None stays as it is."""

    holder: Holder
    keep_orders: bool
    written: Written | None = None
    aim: Aim | None = None

    def vacant(self, now: datetime) -> Change:
        """Nobody's, or ended for so long that its holder knows. Not one of our own: that was taken already."""
        expired = number(now.timestamp() - SKEW_SECONDS)
        return self._anew(
            "attribute_not_exists(#owner) OR (#lease_until < :expired AND #owner <> :owner)", {"expired": expired}
        )

    def from_dead(self, dead: Holder) -> Change:
        return self._anew(_STILL, _held_by(dead))

    def again(self, fence: int) -> Change:
        """An earlier try took effect: the same fence, and whatever was ordered since."""
        known = {"still": text(self.holder.id), "with": number(fence)}
        return Change(_STILL, known, self._sets)

    def _anew(self, condition: str, known: dict[str, Attribute]) -> Change:
        counted = {"fence": _NEXT_FENCE, **({"orders_fence": _NEXT_FENCE} if self.keep_orders else {})}
        return Change(
            condition,
            {**known, "zero": number(0), "one": number(1)},
            {"owner": text(self.holder.id), **self._sets, **counted},
            () if self.keep_orders else _ORDERS,
        )

    @property
    def _sets(self) -> dict[str, Attribute]:
        return {**_lease(self.holder), **_noted(self.written, self.aim)}


def renewing(holder: Holder, written: Written | None, aim: Aim | None) -> Change:
    """Until `holder.until`; what is None stays as it is."""
    return Change(_STILL, _held_by(holder), {**_lease(holder), **_noted(written, aim)})


def freeing(holder: Holder, written: Written | None, aim: Aim | None) -> Change:
    """Without a goal to go on with, orders have nobody to hold for."""
    sets = {"lease_until": number(0), **_noted(written, aim)}
    return Change(_STILL, _held_by(holder), sets, ("owner", "holder", *(() if aim else ("aim", *_ORDERS))))


def ordering(orders: Orders, fence: int) -> Change:
    """Whoever is called off stays called off: nothing else that is asked may take the place of that."""
    there, values = "attribute_exists(#owner) AND #fence = :orders_fence", {}
    if orders.recall is None:
        stands = "attribute_not_exists(#orders) OR #orders_fence <> :orders_fence OR NOT contains(#orders, :called_off)"
        there, values = f"{there} AND ({stands})", {"called_off": text(_CALLED_OFF)}
    return Change(
        there,
        values,
        sets={"orders": document(orders), "orders_fence": number(fence)},
    )


def freezing(freeze: Freeze) -> Change:
    return Change("attribute_not_exists(#freeze)", sets={"freeze": document(freeze)})


def unfreezing() -> Change:
    return Change("attribute_exists(#freeze)", removes=("freeze",))


def _held_by(holder: Holder) -> dict[str, Attribute]:
    return {"still": text(holder.id), "with": number(holder.fence)}


def _lease(holder: Holder) -> dict[str, Attribute]:
    return {"lease_until": number(holder.until.timestamp()), "holder": holder_document(holder)}


def _noted(written: Written | None, aim: Aim | None) -> dict[str, Attribute]:
    return {key: document(told) for key, told in (("written", written), ("aim", aim)) if told}
