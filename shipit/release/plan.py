"""What must still happen before the goal serves, and what comes after: pure, so that it can be printed, pinned, replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction

from shipit.model import Exposure, Fleet, Observed, Pin, Split, Stage
from shipit.release.goal import Goal
from shipit.release.judge import forsaken, is_sick, needed_healthy, wanted_size
from shipit.release.policy import Policy
from shipit.release.steps import (
    AwaitHealthy,
    AwaitInstances,
    BakeImage,
    BeforeTraffic,
    Hold,
    LaunchFleet,
    Pause,
    PinFleet,
    Preview,
    ResizeFleet,
    ShiftTraffic,
    Smoke,
    Step,
    UnparkFleet,
)
from shipit.release.tidy import tidy
from shipit.schedule import AT_ONCE
from shipit.standing import Orders
from shipit.value import value

# ALB: at most five target groups in one forward action, not adjustable (field notes A2).
GROUPS_PER_ACTION = 5


@value()
class Plan:
    """`ship` leads to the goal serving; `tidy` comes after and concerns no request."""

    ship: tuple[Step, ...] = ()
    tidy: tuple[Step, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.ship and not self.tidy


def plan(goal: Goal, observed: Observed, now: datetime, policy: Policy) -> Plan:
    """The remaining steps from what is seen to the goal. The goal met and everything tidy: an empty plan."""
    ship = tuple(_prepared(_ship(goal, observed, now, policy), goal, observed, policy))
    after = _as_if_shipped(goal, observed, policy, ship) if ship else observed
    return Plan(ship, tuple(tidy(goal, after, now, policy)))


def serves_alone(goal: Goal, observed: Observed) -> bool:
    """True once the goal's fleet has all the traffic."""
    return goal.fleet is not None and observed.split.percent(goal.fleet) == 100


def split_at(goal_fleet: str, percent: Fraction, observed: Observed) -> Split:
    """The split with `percent` for the goal's fleet and the rest for the fleet that serves most.

    Our other fleets stay in the action without a share (they are health checked there), as far as the limit allows.
    """
    blues = [name for name in observed.split.serving if name != goal_fleet]
    whole = 100 if percent.denominator == 1 else 1000
    share = int(percent * whole / 100)
    weights = dict.fromkeys(blues, 0)
    if blues:
        weights[blues[0]] = whole - share
    weights[goal_fleet] = share if blues else 100
    room = GROUPS_PER_ACTION - len(observed.route.foreign) - len(weights)
    idle = [name for name in observed.split.weights if name not in weights]
    return Split({**weights, **dict.fromkeys(idle[: max(0, room)], 0)})


def _ship(goal: Goal, observed: Observed, now: datetime, policy: Policy) -> list[Step]:
    if goal.fleet is None:
        return []
    if serves_alone(goal, observed) and not goal.staged:
        return _watch(goal, goal.fleet, observed, now, policy)
    bake: list[Step] = [BakeImage(goal.version)] if goal.image_id is None else []
    arrive = _arrive(goal, goal.fleet, observed, policy)
    smoke = _smoke(goal, goal.fleet, observed)
    return bake + arrive + smoke + ([] if goal.staged else _shift(goal, goal.fleet, observed, now, policy))


def _smoke(goal: Goal, name: str, observed: Observed) -> list[Step]:
    """Tried before its first share, by each process anew: what an earlier one has seen may be hours old."""
    due = goal.smoke and not goal.instant and name not in observed.smoked and not observed.split.percent(name)
    return [Smoke(name)] if due else []


def _prepared(steps: list[Step], goal: Goal, observed: Observed, policy: Policy) -> list[Step]:
    """The first shift that moves a share also ends that clients are kept on their target group; the hook that comes before the
    first request comes before it, or before the smoke test.
    """
    fleet, prepared = observed.fleets.get(goal.fleet or ""), list[Step]()
    frees = observed.route.sticky_seconds
    hooked = policy.hooked and not goal.instant and (fleet is None or fleet.exposure is Exposure.NONE)
    for step in steps:
        asks = isinstance(step, Smoke) or (isinstance(step, ShiftTraffic) and step.split.percent(goal.fleet or "") > 0)
        if hooked and asks and goal.fleet:
            prepared.append(BeforeTraffic(goal.fleet))
            hooked = False
        if frees and isinstance(step, ShiftTraffic) and step.split.shares != observed.split.shares:
            step, frees = replace(step, frees=frees), 0
        prepared.append(step)
    return prepared


def _arrive(goal: Goal, name: str, observed: Observed, policy: Policy) -> list[Step]:
    """The fleet exists, is as large as it must be, and is healthy."""
    fleet = observed.fleets.get(name)
    size = wanted_size(goal, observed, policy)
    needed = needed_healthy(size, policy)
    await_healthy = AwaitHealthy(name, needed, 0.0 if goal.instant else policy.steady_seconds)
    if fleet is None or not fleet.whole:
        launch = LaunchFleet(name, goal.version, goal.image_id or "", size)
        known = _associated(goal, name, observed)
        return [launch, AwaitInstances(name, needed), *([] if known else [_association(name, observed)]), await_healthy]
    steps: list[Step] = []
    if fleet.desired < size and not goal.retreat:
        steps.append(ResizeFleet(name, size))
    if fleet.parked_until and not goal.flip_first:
        # Before it gets traffic: whoever dies after the shift must not leave a serving fleet with a date to shrink.
        steps.insert(0, UnparkFleet(name))
    if not _associated(goal, name, observed):
        steps += [] if fleet.in_service >= needed else [AwaitInstances(name, needed)]
        steps.append(_association(name, observed))
    if not _fit(goal, fleet, needed, observed):
        steps.append(await_healthy)
    return steps


def _fit(goal: Goal, fleet: Fleet, needed: int, observed: Observed) -> bool:
    """Healthy now, and either watched for long enough, or known from before and wanted back at once."""
    if goal.retreat and fleet.healthy:
        return True
    known = fleet.name in observed.trusted or observed.split.percent(fleet.name) > 0
    return fleet.healthy >= needed and (known or (goal.instant and fleet.proven))


def _associated(goal: Goal, name: str, observed: Observed) -> bool:
    """Some rule names its target group: without that it gets no health checks (field notes A4). A staged fleet is to be open
    to the preview header as well, where that can be; so is one that is to be tried first.
    """
    previewed = observed.route.preview == name
    named = name in observed.split.weights or name in observed.route.aside
    needs_header = (goal.staged or goal.smoke) and observed.route.previewable
    return previewed or (named and not needs_header)


def _association(name: str, observed: Observed) -> Step:
    if observed.route.previewable or observed.route.vacant:
        return Preview(name)
    return ShiftTraffic(Split({**observed.split.weights, name: 0}), name, _labels(observed))


def _shift(goal: Goal, name: str, observed: Observed, now: datetime, policy: Policy) -> list[Step]:
    blues = [fleet for fleet in observed.serving_fleets() if fleet.name != name]
    labels = {**_labels(observed), name: goal.version.name}
    green = [observed.fleets[name]] if blues and name in observed.fleets else []
    steps: list[Step] = (
        [] if goal.instant else _steadied(blues) + [PinFleet(fleet.name) for fleet in green if fleet.pin is None]
    )
    because = "" if goal.instant else forsaken(goal, observed, policy)
    if because:
        return [*steps, ShiftTraffic(split_at(name, Fraction(100), observed), name, labels, because)]
    if blues and not goal.instant and (goal.orders.paused or goal.orders.share is not None):
        return steps + _as_told(goal.orders, name, observed, labels)
    share = observed.split.percent(name)
    for stage in AT_ONCE if goal.instant or not blues else goal.stages:
        if stage.percent < share:
            continue
        if stage.percent > share:
            steps.append(ShiftTraffic(split_at(name, stage.percent, observed), name, labels))
        steps += _hold(goal, name, stage, observed, now, policy)
    return steps


def _steadied(fleets: list[Fleet]) -> list[Step]:
    """Those that share requests keep their capacity. One that somebody made serve by hand may have a date to shrink."""
    unpark: list[Step] = [UnparkFleet(fleet.name) for fleet in fleets if fleet.parked_until]
    return unpark + [PinFleet(fleet.name) for fleet in fleets if fleet.pin is None]


def _as_told(orders: Orders, name: str, observed: Observed, labels: Mapping[str, str]) -> list[Step]:
    """The share that a person asked for, or the one that it has, until a person says otherwise."""
    share = observed.split.percent(name)
    wanted = share if orders.share is None else orders.share
    shift = [ShiftTraffic(split_at(name, wanted, observed), name, labels)] if wanted != share else []
    return [*shift, Pause(name, wanted)]


def _hold(goal: Goal, name: str, stage: Stage, observed: Observed, now: datetime, policy: Policy) -> list[Step]:
    """What is left of a stage: the rest of its hold, then the word of a person; nothing once that one said to go on. Where there
    are gates, they end a hold, and time does not.
    """
    if goal.orders.promoted is not None and stage.percent <= goal.orders.promoted:
        return []
    since = observed.split_since if observed.split.percent(name) == stage.percent else None
    until = since + timedelta(seconds=stage.hold_seconds) if since else None
    here = (name, stage.percent)
    in_doubt = here in observed.doubted
    judged = policy.gated or bool(stage.gates)
    over = (here in observed.held or in_doubt) if judged else (until is not None and until <= now)
    steps: list[Step] = []
    if stage.hold_seconds and not over:
        steps.append(Hold(name, stage.percent, until, stage.hold_seconds, stage.gates))
    return [*steps, Pause(name, stage.percent, True, stage.gates)] if stage.manual or in_doubt else steps


def _watch(goal: Goal, name: str, observed: Observed, now: datetime, policy: Policy) -> list[Step]:
    """The hold at 100 %: it has everything, and the one that served before is still whole and one write away."""
    fleet, home = observed.fleets.get(name), observed.fleets.get(goal.home)
    if fleet is None or home is None or fleet.exposure is Exposure.ALL or goal.instant:
        return []
    if goal.stages[-1].watched and (goal.orders.paused or goal.orders.share is not None):
        # A share that was asked for before the other one turned sick must not be given back to it.
        orders = replace(goal.orders, share=None) if is_sick(home, policy) else goal.orders
        return _as_told(orders, name, observed, _labels(observed))
    return _hold(goal, name, goal.stages[-1], observed, now, policy)


def _labels(observed: Observed) -> dict[str, str]:
    return {fleet.name: fleet.version.name for fleet in observed.fleets.values()}


def _as_if_shipped(goal: Goal, observed: Observed, policy: Policy, ship: tuple[Step, ...]) -> Observed:
    """What will be seen once the goal serves: for telling the tidying in advance."""
    if goal.fleet is None or goal.staged:
        return observed
    seen = observed.fleets.get(goal.fleet) or Fleet(goal.fleet, goal.version, goal.image_id or "", pin=Pin(0))
    size = wanted_size(goal, observed, policy)
    unparked = any(isinstance(step, UnparkFleet) for step in ship)
    until = None if unparked else seen.parked_until
    arrived = replace(seen, whole=True, desired=max(size, seen.desired), parked_until=until)
    pinned = {step.fleet for step in ship if isinstance(step, PinFleet)}
    fleets = {n: replace(f, pin=Pin(f.min_size)) if n in pinned else f for n, f in observed.fleets.items()}
    split = split_at(goal.fleet, Fraction(100), observed)
    opened = any(isinstance(step, Preview) for step in ship)
    route = replace(observed.route, split=split, preview=goal.fleet if opened else observed.route.preview)
    if any(isinstance(step, ShiftTraffic) for step in ship) and route.sticky_seconds:
        route = replace(route, sticky_seconds=0, kept_sticky_seconds=route.sticky_seconds)
    return replace(observed, route=route, fleets={**fleets, goal.fleet: arrived}, split_since=None)
