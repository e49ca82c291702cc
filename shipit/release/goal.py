"""The goal: which version should serve, from which fleet, and how fast to get there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from shipit.errors import Refused
from shipit.model import Exposure, Fleet, Image, Observed, Stage, Version
from shipit.schedule import AT_ONCE
from shipit.value import value


@value()
class Goal:
    """What a person or CI asked for.

    `fleet` is the fleet that should get all requests, or None when none should (giving up a first release). `image_id` is
    None until the version is baked. `staged` stops before the first share; `discard` are fleets that failed and must go;
    `retire_parked` gives up the way back; `instant` skips the wait for steadiness and the schedule. `restore` is an idle
    fleet as it was before a rollback to it failed. `flip_first` moves traffic although the fleet could not be unparked: the
    listener may be all that one is allowed to write in an emergency.
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
    same = [f for f in observed.fleets.values() if _is(f, goal) and not f.leaving]
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
    served = next((f for f in before.serving_fleets() if f.name != goal.fleet), None)
    failed = frozenset({goal.fleet} if goal.fleet and not _proven(goal.fleet, before) else ())
    if served is None:
        return Goal(goal.version, None, instant=True, discard=failed)
    idle = before.fleets.get(goal.fleet or "")
    restore = idle if idle and idle.proven and before.split.percent(idle.name) == 0 else None
    return Goal(
        served.version,
        served.name,
        served.image_id,
        served.launch_digest,
        instant=True,
        discard=failed,
        restore=restore,
    )


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
