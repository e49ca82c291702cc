"""What each command does, from its start to its ending. The command line and the web page both call these."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from shipit import naming
from shipit.errors import Refused, ShipitError, Stopped, UsageError
from shipit.events import Ended, Note, Started
from shipit.model import Ending, Image, Observed, Version
from shipit.release.goal import Goal, Target, release_goal, rollback_goal, rollback_targets, serving_goal
from shipit.release.outcome import Outcome, shares
from shipit.release.plan import Plan
from shipit.schedule import parse_schedule
from shipit.value import value
from shipit.wiring import Shop

# Commands that have the time, and the permissions, to sweep up after those that were killed.
SWEEPING = frozenset({"release", "stage", "retire"})


@value()
class Wanted:
    """What to release: a git ref to bake, or an image that exists. `schedule` None means that of shipit.yml."""

    ref: str | None = None
    image_id: str | None = None
    schedule: str | None = None
    staged: bool = False


def release(shop: Shop, wanted: Wanted) -> Ended:
    """Makes the version serve; or, `staged`, makes its fleet ready without giving it a share."""
    command = "stage" if wanted.staged else "release"
    return _reported(shop, command, lambda seen: _release_goal(shop, wanted, seen), patient=False)


def rollback(shop: Shop, to: str | None) -> Ended:
    """Makes an earlier version serve again."""
    return _reported(shop, "rollback", lambda seen: _rollback_goal(shop, to, seen), patient=False)


def retire(shop: Shop) -> Ended:
    """Deletes the parked fleets now, which gives up the instant way back."""

    return _reported(shop, "retire", lambda seen: serving_goal(seen, retire_parked=True), patient=True)


def bake(shop: Shop, ref: str) -> Ended:
    """Makes the image of a version, or finds it."""
    shop.session.require_account(shop.config.settings.account)
    version = shop.repository.resolve(ref)
    started = _start(shop, "bake", version)
    try:
        image = shop.baker.bake(version)
    except Stopped:
        raise
    except ShipitError as error:
        return _end(
            shop, started, Ending.FAILED_CLEAN, f"{error.what}: {error.why}" if error.why else error.what, error.next
        )
    return _end(shop, started, Ending.SUCCEEDED, image.id)


def plan(shop: Shop, wanted: Wanted) -> tuple[Goal, Plan]:
    """The steps that a release would take; changes nothing."""
    seen = shop.engine.look()
    goal = _release_goal(shop, wanted, seen)
    return goal, shop.engine.plan(goal, shop.engine.observer.deepened(seen, [goal.fleet] if goal.fleet else []))


def way_back(shop: Shop, observed: Observed) -> Sequence[Target]:
    """The versions that a rollback can go to, the default one first."""
    return rollback_targets(observed, shop.images.all())


def _release_goal(shop: Shop, wanted: Wanted, seen: Observed) -> Goal:
    version, image = _version_and_image(shop, wanted)
    goal = release_goal(version, image, shop.launch_digest, seen, _new_name(shop))
    schedule = wanted.schedule or shop.config.settings.traffic.schedule
    return replace(goal, stages=parse_schedule(schedule), staged=wanted.staged)


def _version_and_image(shop: Shop, wanted: Wanted) -> tuple[Version, Image | None]:
    if wanted.image_id:
        image = shop.images.by_id(wanted.image_id)
        if image is None:
            raise UsageError(
                f"there is no image {wanted.image_id}", "EC2 does not know it in this region", "shipit status"
            )
        return image.version, image
    if not wanted.ref:
        raise UsageError("nothing to release", "neither a version nor --image is given", "shipit release v42")
    version = shop.repository.resolve(wanted.ref)
    return version, shop.baker.find(version)


def _rollback_goal(shop: Shop, to: str | None, seen: Observed) -> Goal:
    """Images are only looked up when no fleet is the answer: a rollback must be quick and need few permissions."""
    name, digest = _new_name(shop), shop.launch_digest
    try:
        return rollback_goal(seen, rollback_targets(seen), to, digest, name)
    except ShipitError:
        return rollback_goal(seen, way_back(shop, seen), to, digest, name)


def _new_name(shop: Shop) -> str:
    return naming.fleet_name(shop.config.app, shop.config.env, os.urandom(8).hex())


def _reported(shop: Shop, command: str, choose: Callable[[Observed], Goal], *, patient: bool) -> Ended:
    """Chooses the goal, goes for it, tells and records how it ended."""
    shop.session.require_account(shop.config.settings.account)
    seen = shop.engine.look()
    goal = choose(seen)
    if command in SWEEPING:
        goal = replace(goal, discard=goal.discard | _strays(shop))
    started = _start(shop, command, goal.version, goal.fleet or "")
    try:
        outcome = shop.engine.run(goal, seen, patient=patient)
    except Refused as refused:
        outcome = Outcome(Ending.REFUSED, seen, f"{refused.what}: {refused.why}", refused.next)
    except Stopped as stopped:
        _end_stopped(shop, started, stopped)
        raise
    if outcome.ending is Ending.SUCCEEDED and command in ("release", "rollback"):
        outcome = replace(outcome, next=outcome.next or _undo(outcome.observed))
    return _end(shop, started, outcome.ending, outcome.reason, outcome.next, outcome)


def _strays(shop: Shop) -> frozenset[str]:
    """Parts of launches that were cut short, old enough not to be somebody's who is at it now."""
    patience = timedelta(seconds=shop.config.settings.health.deadline_seconds)
    return frozenset(shop.fleets.strays(shop.clock.now() - patience))


def _end_stopped(shop: Shop, started: Started, stopped: Stopped) -> None:
    """A stopped command waits for somebody who goes on or goes back; who serves now is said before the process ends."""
    shop.clock.resume()
    ways = f"go on: shipit {started.command} {started.version}; go back: shipit rollback"
    try:
        outcome = Outcome(Ending.WAITING, shop.engine.look())
    except ShipitError:
        outcome = None
    _end(shop, started, Ending.WAITING, stopped.what, ways, outcome)
    stopped.told = True


def _undo(observed: Observed) -> str:
    targets = rollback_targets(observed)
    return f"to undo: shipit rollback (back to {targets[0].version.name})" if targets else ""


def _start(shop: Shop, command: str, version: Version, fleet: str = "") -> Started:
    event = Started(
        at=shop.clock.now(),
        app=shop.config.app,
        env=shop.config.env,
        command=command,
        version=version.name,
        commit=version.commit,
        fleet=fleet,
        who=shop.who,
        where=shop.where,
    )
    shop.hear(event)
    return event


def _end(
    shop: Shop, started: Started, ending: Ending, reason: str = "", next: str = "", outcome: Outcome | None = None
) -> Ended:
    now = shop.clock.now()
    event = Ended(
        at=now,
        app=started.app,
        env=started.env,
        command=started.command,
        version=started.version,
        commit=started.commit,
        who=started.who,
        where=started.where,
        ending=ending,
        started_at=started.at,
        seconds=round((now - started.at).total_seconds(), 3),
        serving=shares(outcome.observed) if outcome else {},
        reason=reason,
        next=next,
        phases=outcome.phases if outcome else (),
    )
    try:
        shop.record.append(event)
    except ShipitError as error:
        shop.hear(
            Note(at=now, app=started.app, env=started.env, text=f"history was not written: {error.what} ({error.why})")
        )
    shop.hear(event)
    return event
