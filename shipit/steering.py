"""Steering a release that runs, from any terminal: go on, stay, another share; and freezing an environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from shipit.choice import Manner
from shipit.errors import Refused
from shipit.events import Ended, Steered
from shipit.operations import resume
from shipit.release.goal import interrupted_goal
from shipit.reporting import steered
from shipit.schedule import AT_ONCE, format_percent
from shipit.standing import Freeze, Holder, Orders, Standing
from shipit.tenure import running
from shipit.wiring import Shop

Change = Callable[[Orders], Orders]
ATTEMPTS = 3


def promote(shop: Shop, *, full: bool) -> Steered | Ended:
    """Goes on now: the hold at the present share is over, or with `full` every hold. Resumes a release that has ended."""
    standing = shop.record.read()
    share = Fraction(100) if full else _share(shop, standing)
    order = "go on to 100 %" if full else f"go on from {format_percent(share)} %"
    return _steer(shop, "promote", order, lambda orders: Orders(promoted=_later(orders.promoted, share), by=shop.who))


def pause(shop: Shop) -> Steered | Ended:
    """Stays at the present share until promoted."""
    return _steer(shop, "pause", "stay", lambda orders: replace(orders, paused=True, by=shop.who))


def shift(shop: Shop, percent: Fraction) -> Steered | Ended:
    """Gives the new fleet this share, and stays there until promoted."""
    order = f"shift to {format_percent(percent)} % and stay"
    return _steer(shop, "shift", order, lambda orders: Orders(share=percent, promoted=orders.promoted, by=shop.who))


def freeze(shop: Shop, reason: str) -> Steered:
    """Refuses releases from now on, and makes one that runs stay where it is. Raises `Refused` when it is frozen."""
    shop.record.freeze(Freeze(reason, shop.who, shop.clock.now()))
    return steered(shop, "freeze", f"no releases: {reason}")


def unfreeze(shop: Shop) -> Steered:
    """Allows releases again. Raises `Refused` when it was not frozen."""
    if not shop.record.unfreeze():
        raise Refused(f"{shop.config.app} in {shop.config.env} is not frozen", "nobody froze it", "shipit status")
    return steered(shop, "unfreeze", "releases are allowed again")


def _steer(shop: Shop, command: str, order: str, change: Change) -> Steered | Ended:
    """Leaves the order for the release that runs; where none does, goes on with the one that ended, under that order."""
    for _ in range(ATTEMPTS):
        standing = shop.record.read()
        holder = running(standing, shop.clock.now())
        if holder is None:
            return _without_holder(shop, command, standing, change)
        _refuse_unsteerable(holder, standing.orders)
        if shop.record.order(change(standing.orders), standing.fence):
            return steered(shop, command, f"{order}, {holder.command} of {holder.version}")
    raise Refused("the release that runs has just changed hands", "the order reached nobody", f"shipit {command}")


def _without_holder(shop: Shop, command: str, standing: Standing, change: Change) -> Ended:
    waits = standing.aim is not None or interrupted_goal(shop.engine.look(), AT_ONCE) is not None
    if command == "pause" or not waits:
        raise Refused("nothing is being released", "no command holds the lease", "shipit status, shipit resume")
    return resume(shop, Manner(), change(standing.orders))


def _refuse_unsteerable(holder: Holder, orders: Orders) -> None:
    if orders.recall is not None:
        raise Refused(
            f"the {holder.command} of {holder.version} was called off", f"{orders.by} did so", "shipit status"
        )
    if holder.command not in ("release", "stage", "resume"):
        raise Refused(f"a {holder.command} cannot be steered", f"{holder.who} runs it", "shipit status")


def _share(shop: Shop, standing: Standing) -> Fraction:
    """The share of the fleet that arrives."""
    observed = shop.engine.look()
    fleet = standing.aim.fleet if standing.aim else ""
    goal = interrupted_goal(observed, AT_ONCE)
    return observed.split.percent(fleet or (goal.fleet if goal and goal.fleet else ""))


def _later(before: Fraction | None, share: Fraction) -> Fraction:
    return max(before or Fraction(0), share)
