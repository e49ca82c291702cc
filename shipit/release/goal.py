"""The goal: which version should serve, from which fleet, and how fast to get there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace

from shipit.errors import Refused
from shipit.model import Exposure, Fleet, Image, Observed, Stage, Version
from shipit.schedule import AT_ONCE
from shipit.standing import Aim, Orders
from shipit.value import value


@value()
class Goal:
    """What a person or CI asked for.

    `fleet` is the fleet that should get all requests, or None when none should (giving up a first release). `image_id` is
    None until the version is baked. `staged` stops before the first share; `discard` are fleets that failed and must go;
    `retire_parked` gives up the way back; `instant` skips the wait for steadiness and the schedule. `restore` is an idle
    fleet as it was before a rollback to it failed. `flip_first` moves traffic although the fleet could not be unparked: the
    listener may be all that one is allowed to write in an emergency.

    `home` is the fleet that served before: where traffic goes when this goal has to be given up. `retreat` is such a way
    back, `why` its reason. `keep_failed` keeps the fleet that failed, to be looked at, and `keep` is such a one; without
    `auto_rollback` a failure waits for a person instead. `hand_over` ends where the schedule waits for one, `smoke` has gates try
    the fleet before it gets a share. `orders` are what others asked of this release.
    """

    version: Version
    fleet: str | None
    image_id: str | None = None
    digest: str = ""
    stages: tuple[Stage, ...] = AT_ONCE
    staged: bool = False
    instant: bool = False
    discard: frozenset[str] = frozenset()
    retire_parked: bool = False
    restore: Fleet | None = None
    flip_first: bool = False
    home: str = ""
    keep_failed: bool = False
    auto_rollback: bool = True
    hand_over: bool = False
    smoke: bool = False
    keep: str = ""
    retreat: bool = False
    why: str = ""
    orders: Orders = field(default_factory=Orders)


@value()
class Target:
    """A version that can be gone back to. `instant` means that its fleet is alive and only traffic has to move."""

    version: Version
    instant: bool
    fleet: str | None = None
    image_id: str | None = None


def release_goal(version: Version, image: Image | None, digest: str, observed: Observed, new_name: str) -> Goal:
    """The goal of a release: an existing fleet of that image and launch settings, else a new one called `new_name`."""
    return adopt(Goal(version, new_name, image.id if image else None, digest), observed)


def adopt(goal: Goal, observed: Observed) -> Goal:
    """The goal with a fleet that already is what it asks for, if there is one: serving, then parked, then the newest."""
    # Not one that is kept to be looked at: its group neither ends nor replaces instances.
    same = [f for f in observed.fleets.values() if _is(f, goal) and not f.leaving and f.kept_until is None]
    if not same:
        return goal
    best = max(same, key=lambda fleet: (observed.split.percent(fleet.name), fleet.desired, fleet.name))
    return replace(goal, fleet=best.name)


def rollback_targets(observed: Observed, images: Iterable[Image] = ()) -> tuple[Target, ...]:
    """Where a rollback can go: fleets that are alive first, the most recent first; then images without a fleet."""
    leading = _leading(observed)
    alive = [f for f in observed.fleets.values() if f.proven and not f.leaving and f is not leading]
    alive.sort(key=lambda fleet: (observed.split.percent(fleet.name), _recency(fleet)), reverse=True)
    warm = [Target(f.version, f.desired > 0, f.name, f.image_id) for f in alive]
    known = {f.image_id for f in alive} | ({leading.image_id} if leading else set())
    cold = [Target(i.version, False, None, i.id) for i in images if i.id not in known and i.state == "available"]
    return (*warm, *cold)


def rollback_goal(observed: Observed, targets: Iterable[Target], to: str | None, digest: str, new_name: str) -> Goal:
    """The goal of a rollback: `to` names a version, commit, image or fleet; None means the fleet that served before.

    An image without a fleet must be named: that it exists does not mean that it ever served well. Raises `Refused` when
    there is nothing to go back to.
    """
    known = tuple(targets)
    serving = [Target(f.version, True, f.name, f.image_id) for f in observed.serving_fleets()]
    if to and len(serving) == 1 and _names(serving[0], to):
        return Goal(serving[0].version, serving[0].fleet, serving[0].image_id, digest, instant=True)
    target = next((t for t in known if _names(t, to)), None)
    if target is None:
        now = ", ".join(t.version.name for t in serving) or "nothing"
        named = ", ".join(t.version.name for t in known) or "none"
        what = f"there is no fleet or image of {to}" if to else "no earlier fleet is left to roll back to"
        why = f"serving now: {now}; other versions that exist: {named}"
        raise Refused(what, why, "shipit rollback --to VERSION")
    fleet = target.fleet or new_name
    return Goal(target.version, fleet, target.image_id, digest, instant=True)


def give_up(goal: Goal, before: Observed) -> Goal:
    """After a failure: what served before the release serves again, at once, and the failed fleet goes; but not one that
    had served everybody before: it stays what it was, a way back.
    """
    served = home_of(goal, before)
    failed = frozenset({goal.fleet} if goal.fleet and not _proven(goal.fleet, before) else ())
    idle = before.fleets.get(goal.fleet or "")
    keep = goal.fleet if goal.keep_failed and goal.fleet and not (idle and idle.proven) else ""
    failed = frozenset() if keep else failed
    if served is None:
        return Goal(goal.version, None, instant=True, discard=failed, keep=keep, retreat=True)
    restore = idle if idle and idle.proven and before.split.percent(idle.name) == 0 else None
    return Goal(
        served.version,
        served.name,
        served.image_id,
        served.launch_digest,
        instant=True,
        discard=failed,
        restore=restore,
        keep=keep,
        retreat=True,
    )


def home_of(goal: Goal, observed: Observed) -> Fleet | None:
    """The fleet that served before: the one that is known to have, else the largest other one that serves."""
    if goal.home in observed.fleets:
        return observed.fleets[goal.home]
    return next((f for f in observed.serving_fleets() if f.name != goal.fleet), None)


def interrupted_goal(observed: Observed, stages: tuple[Stage, ...]) -> Goal | None:
    """The goal of a canary that somebody left, as far as the listener tells it; None when no canary has a share."""
    arriving = _leading(observed)
    if arriving is None or len(observed.split.serving) < 2:
        return None
    goal = Goal(arriving.version, arriving.name, arriving.image_id, arriving.launch_digest, stages)
    home = home_of(goal, observed)
    return replace(goal, home=home.name if home else "")


def abort_goal(observed: Observed, aim: Aim | None) -> Goal:
    """What served before a release that is under way. Where traffic has not moved, or none is under way, what serves now."""
    canary = interrupted_goal(observed, AT_ONCE)
    if canary is not None:
        return give_up(replace(canary, home=_known_home(canary, aim)), observed)
    green = observed.fleets.get(aim.fleet) if aim else None
    watched = green and observed.split.percent(green.name) == 100 and green.exposure is not Exposure.ALL
    if aim and green and watched and aim.home in observed.fleets:
        return give_up(Goal(green.version, green.name, home=aim.home), observed)
    left = _left_whole(observed)
    if green is None and left is not None:
        return left
    failed = frozenset(
        {aim.fleet} if aim and not observed.split.percent(aim.fleet) and not (green and green.proven) else ()
    )
    return replace(serving_goal(observed), instant=True, discard=failed)


def _left_whole(observed: Observed) -> Goal | None:
    """The way back out of a hold at 100 %, told by tags alone: the fleet that has everything has not served everybody for
    long, and beside it waits one that has, pinned and not parked.
    """
    serving = observed.serving_fleets()
    waiting = [
        fleet
        for name, fleet in observed.fleets.items()
        if observed.split.weights.get(name) == 0 and fleet.proven and fleet.pin and not fleet.parked_until
    ]
    if len(serving) != 1 or serving[0].exposure is Exposure.ALL or len(waiting) != 1:
        return None
    return give_up(Goal(serving[0].version, serving[0].name, home=waiting[0].name), observed)


def _known_home(canary: Goal, aim: Aim | None) -> str:
    return aim.home if aim and aim.fleet == canary.fleet and aim.home else canary.home


def serving_goal(observed: Observed, *, retire_parked: bool = False) -> Goal:
    """The goal that changes nothing about who serves: only tidies up. Raises `Refused` while a canary has a share."""
    if len(observed.split.serving) > 1:
        shares = ", ".join(
            f"{f.version.name} {float(observed.split.percent(f.name)):g} %" for f in observed.serving_fleets()
        )
        raise Refused(
            "a canary has a share of the traffic", shares, "finish it first: shipit release REF, or shipit rollback"
        )
    leading = _leading(observed)
    if leading is None:
        return Goal(Version(""), None, retire_parked=retire_parked)
    return Goal(leading.version, leading.name, leading.image_id, leading.launch_digest, retire_parked=retire_parked)


def _leading(observed: Observed) -> Fleet | None:
    """The fleet that a rollback leaves: the arriving one in a canary, else the one that serves."""
    serving = observed.serving_fleets()
    arriving = [fleet for fleet in serving if fleet.exposure is not Exposure.ALL]
    if arriving and len(serving) > 1:
        return arriving[0]
    return serving[0] if serving else None


def _proven(name: str, before: Observed) -> bool:
    fleet = before.fleets.get(name)
    return name in before.split.serving or (fleet is not None and fleet.proven)


def _is(fleet: Fleet, goal: Goal) -> bool:
    return fleet.image_id == goal.image_id and fleet.launch_digest == goal.digest


def _recency(fleet: Fleet) -> str:
    until = fleet.parked_until or fleet.created_at
    return until.isoformat() if until else ""


def _names(target: Target, to: str | None) -> bool:
    if to is None:
        return target.fleet is not None
    version = target.version
    is_commit = len(to) >= 7 and version.commit.startswith(to)
    return to in (version.name, target.image_id, target.fleet) or is_commit
