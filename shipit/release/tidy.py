"""What comes after the goal serves: the previous fleet is parked, what nobody needs is drained and deleted.

One place proves for every fleet that it is idle: a fleet with a share is never touched here, whatever else is true of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shipit.model import Exposure, Fleet, Observed, Split
from shipit.release.goal import Goal
from shipit.release.policy import Policy
from shipit.release.steps import (
    AwaitEmpty,
    ClosePreview,
    DeleteFleet,
    DrainFleet,
    KeepClients,
    KeepFleet,
    LeaveAside,
    MarkServing,
    ParkFleet,
    PinFleet,
    ResizeFleet,
    Settle,
    ShiftTraffic,
    Step,
    UnparkFleet,
    UnpinFleet,
)


def tidy(goal: Goal, observed: Observed, now: datetime, policy: Policy) -> list[Step]:
    """The steps after the goal serves, fleet by fleet; those of one fleet come in order, fleets do not wait for each other."""
    steps: list[Step] = []
    idle = _idle(goal, observed)
    kept = _kept(goal, idle, now, policy)
    preview = observed.route.preview
    if preview and not goal.staged:
        steps.append(ClosePreview(preview))
    steps += _come_in(goal, observed)
    steps += _settle_in(goal, observed)
    for fleet in idle:
        if fleet.name == goal.keep or _is_kept(goal, fleet, now):
            steps += _keep(fleet, now, policy)
        elif goal.restore and fleet.name == goal.restore.name:
            steps += _restore(fleet, goal.restore)
        elif fleet.name in kept:
            steps += _park(fleet, now, policy)
        elif (not goal.staged and not _maybe_anothers(goal, fleet, now, policy)) or fleet.name in goal.discard:
            steps += _retire(goal, fleet, observed, now, policy)
    return steps + _keep_clients(goal, observed, kept)


def _keep_clients(goal: Goal, observed: Observed, kept: list[str]) -> list[Step]:
    """What a shift has switched off is switched on again, and those that are kept warm wait outside the action: in it, old cookies
    would lead to them whatever their weight (field notes A7). Where no rule can be made they need their place in the action, and that
    is done once they are gone.
    """
    route = observed.route
    seconds = route.sticky_seconds or route.kept_sticky_seconds
    if goal.fleet is None or not seconds or not _has_all(goal, observed):
        return []
    if not route.previewable:
        others = set(route.split.weights) - {goal.fleet}
        return [KeepClients(goal.fleet, seconds)] if route.kept_sticky_seconds and not others else []
    needed = route.kept_sticky_seconds or set(kept) - route.aside or set(kept) & set(route.split.weights)
    return [KeepClients(goal.fleet, seconds, tuple(kept))] if needed else []


def _come_in(goal: Goal, observed: Observed) -> list[Step]:
    """Who serves needs no rule outside the action any more, nor does one that is gone."""
    gone = sorted(name for name in observed.route.aside if name not in observed.fleets)
    served = [goal.fleet] if goal.fleet in observed.route.aside and _has_all(goal, observed) else []
    return [LeaveAside(name) for name in (*served, *gone) if name and not goal.staged]


def _has_all(goal: Goal, observed: Observed) -> bool:
    return goal.fleet is not None and not goal.staged and observed.split.percent(goal.fleet) == 100


def _maybe_anothers(goal: Goal, fleet: Fleet, now: datetime, policy: Policy) -> bool:
    """A young fleet that has not served may be the one that somebody else is launching right now."""
    young = fleet.created_at is not None and now - fleet.created_at < timedelta(seconds=policy.deadline_seconds)
    return young and fleet.exposure is Exposure.NONE and not goal.retire_parked


def _is_kept(goal: Goal, fleet: Fleet, now: datetime) -> bool:
    """It failed, and somebody wants to look at it: until its time is over, or everything idle is to go."""
    kept = fleet.kept_until is not None and fleet.kept_until > now
    return kept and not goal.retire_parked and fleet.name not in goal.discard


def _keep(fleet: Fleet, now: datetime, policy: Policy) -> list[Step]:
    if fleet.kept_until is not None:
        return []
    return [KeepFleet(fleet.name, now + timedelta(seconds=policy.keep_seconds), policy.keep_seconds / 60)]


def _settle_in(goal: Goal, observed: Observed) -> list[Step]:
    """The fleet that serves gets its own scaling settings back, and is known as one that can be gone back to."""
    serves = next(iter(observed.split.serving), "") if goal.staged else goal.fleet
    fleet = observed.fleets.get(serves or "")
    if fleet is None or observed.split.percent(fleet.name) != 100:
        return []
    steps: list[Step] = []
    if fleet.exposure is not Exposure.ALL:
        steps.append(MarkServing(fleet.name))
    if fleet.parked_until:
        steps.append(UnparkFleet(fleet.name))
    if fleet.pin:
        steps.append(UnpinFleet(fleet.name))
    return steps


def _idle(goal: Goal, observed: Observed) -> list[Fleet]:
    others = [fleet for fleet in observed.fleets.values() if fleet.name != goal.fleet]
    return [fleet for fleet in others if observed.split.percent(fleet.name) == 0]


def _kept(goal: Goal, idle: list[Fleet], now: datetime, policy: Policy) -> list[str]:
    """The fleets that stay warm: those that served everybody, within their time, the most recent first."""
    if goal.retire_parked:
        return []
    warm = [
        fleet
        for fleet in idle
        if fleet.proven
        and not fleet.leaving
        and fleet.whole
        and fleet.name not in goal.discard
        and (fleet.parked_until is None or fleet.parked_until > now)
    ]
    far = datetime.max.replace(tzinfo=now.tzinfo)
    warm.sort(key=lambda fleet: (fleet.parked_until or far, fleet.name), reverse=True)
    return [fleet.name for fleet in warm[: policy.keep_fleets]]


def _park(fleet: Fleet, now: datetime, policy: Policy) -> list[Step]:
    steps: list[Step] = [] if fleet.exposure is Exposure.ALL else [MarkServing(fleet.name)]
    if fleet.pin is None:
        steps.append(PinFleet(fleet.name))
    if fleet.parked_until is None:
        until = now + timedelta(seconds=policy.keep_seconds)
        steps.append(ParkFleet(fleet.name, until, policy.floor, policy.keep_seconds / 60))
    return steps


def _restore(fleet: Fleet, before: Fleet) -> list[Step]:
    """An idle fleet that was woken in vain is put to sleep again, as it was found."""
    steps: list[Step] = [] if fleet.exposure is before.exposure else [MarkServing(fleet.name)]
    if fleet.desired > before.desired:
        steps.append(ResizeFleet(fleet.name, before.desired))
    if before.parked_until and fleet.parked_until != before.parked_until:
        minutes = 0.0
        steps.append(ParkFleet(fleet.name, before.parked_until, before.desired, minutes))
    return steps


def _retire(goal: Goal, fleet: Fleet, observed: Observed, now: datetime, policy: Policy) -> list[Step]:
    never_served = fleet.exposure is Exposure.NONE
    steps: list[Step] = [] if never_served or fleet.leaving else _settle(fleet, observed, now, policy)
    if steps and fleet.parked_until is None and fleet.name not in goal.discard:
        # Nobody waits here, and nobody may come back to finish this: then it shrinks by itself, like a parked one.
        until = now + timedelta(seconds=policy.keep_seconds)
        steps.insert(0, ParkFleet(fleet.name, until, policy.floor, policy.keep_seconds / 60, way_back=False))
    if fleet.name in observed.split.weights:
        left = {name: weight for name, weight in observed.split.weights.items() if name != fleet.name}
        steps.append(ShiftTraffic(Split(left), fleet.name))
    if fleet.name in observed.route.aside:
        steps.append(LeaveAside(fleet.name))
    if not never_served:
        if not fleet.leaving or fleet.desired:
            steps.append(DrainFleet(fleet.name))
        if fleet.instances:
            steps.append(AwaitEmpty(fleet.name))
    return [*steps, DeleteFleet(fleet.name, at_once=never_served)]


def _settle(fleet: Fleet, observed: Observed, now: datetime, policy: Policy) -> list[Step]:
    """Users saw old targets after the balancer had confirmed new weights (argo-rollouts #4595, field notes A3): wait."""
    lost = fleet.parked_until - timedelta(seconds=policy.keep_seconds) if fleet.parked_until else observed.split_since
    until = lost + timedelta(seconds=policy.settle_seconds) if lost else None
    return [] if until and until <= now else [Settle(fleet.name, until, policy.settle_seconds)]
