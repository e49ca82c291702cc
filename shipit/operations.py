"""What each command does, from its start to its ending. The command line and the web page both call these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import wraps
from typing import ParamSpec, cast

from shipit.choice import Manner, Wanted, goal_of_release, goal_of_rollback, goal_to_resume, version_and_image
from shipit.errors import Drifted, Held, Interrupted, LeaseLost, Recalled, Refused, ShipitError, Stopped, UsageError
from shipit.events import Ended, Started
from shipit.hooks import Point, facts_of
from shipit.model import Ending, Observed, Verdict, Version
from shipit.release.goal import (
    Goal,
    abort_goal,
    serving_goal,
)
from shipit.release.guard import refuse_old_drift, refuse_to_smoke_blindly
from shipit.release.outcome import Outcome
from shipit.release.plan import Plan
from shipit.reporting import end, end_refused, last_look, note, start
from shipit.standing import Orders, Standing
from shipit.tenure import Patience, call_off, take, take_after
from shipit.wiring import Shop

# Commands that have the time, and the permissions, to sweep up after those that were killed.
SWEEPING = frozenset({"release", "stage", "retire"})
FREEZABLE = frozenset({"release", "stage", "resume"})
NOTHING = "nothing was under way; what was left over is tidied up"
Choice = Callable[[Observed, Standing], Goal]
P = ParamSpec("P")


def _or_refused(command: str) -> Callable[[Callable[P, Ended]], Callable[P, Ended]]:
    """What goes wrong before anything was begun is an ending like any other, so that whoever reads events reads one."""

    def around(act: Callable[P, Ended]) -> Callable[P, Ended]:
        @wraps(act)
        def told(*given: P.args, **named: P.kwargs) -> Ended:
            shop = cast(Shop, given[0])
            try:
                shop.session.require_account(shop.config.settings.account)
                return act(*given, **named)
            except (UsageError, Interrupted):
                raise
            except ShipitError as error:
                return end_refused(shop, command, Version(""), error)

        return told

    return around


@_or_refused("release")
def release(shop: Shop, wanted: Wanted, manner: Manner) -> Ended:
    """Makes the version serve; or, `staged`, makes its fleet ready without giving it a share."""
    version, image = version_and_image(shop, wanted)

    def choose(seen: Observed, _: Standing) -> Goal:
        return goal_of_release(shop, wanted, version, image, seen)

    return _under_lease(shop, "stage" if wanted.staged else "release", version, choose, manner)


@_or_refused("retire")
def retire(shop: Shop, manner: Manner) -> Ended:
    """Deletes the parked fleets now, which gives up the instant way back."""
    return _under_lease(shop, "retire", Version(""), lambda seen, _: serving_goal(seen, retire_parked=True), manner)


@_or_refused("resume")
def resume(shop: Shop, manner: Manner, orders: Orders | None = None) -> Ended:
    """Goes on with what was stopped or killed: from what was written down, else from what the listener shows.

    `orders` take the place of those that stood when it ended.
    """
    aim = shop.record.read().aim
    version = aim.version if aim else Version("")

    def choose(seen: Observed, standing: Standing) -> Goal:
        return replace(goal_to_resume(shop, seen, standing), orders=shop.lease.orders())

    return _under_lease(shop, "resume", version, choose, manner, orders)


@_or_refused("rollback")
def rollback(shop: Shop, to: str | None) -> Ended:
    """Makes an earlier version serve again. Asks nobody first: a flip is one write, and who is at it is told afterwards.
    Where the fleet has to be launched first, or to be health checked, whoever is at it is told first, and waited for.
    """
    seen = shop.engine.look()
    goal = goal_of_rollback(shop, to, seen)
    fleet = seen.fleets.get(goal.fleet or "")
    if (
        fleet is not None
        and fleet.desired > 0
        and fleet.name in {*seen.split.weights, *seen.route.aside, seen.route.preview}
    ):
        started = start(shop, "rollback", goal.version, goal.fleet or "")
        return _run(shop, started, goal, seen, before_tidying=_calling_off(shop, started, goal))
    _take_for_launch(shop, goal)
    seen = shop.engine.look()
    try:
        goal = goal_of_rollback(shop, to, seen)
    except ShipitError:
        _free(shop, keep_aim=True)
        raise
    return _run(shop, start(shop, "rollback", goal.version, goal.fleet or ""), goal, seen)


def _take_for_launch(shop: Shop, goal: Goal) -> None:
    """A rollback that launches takes minutes: it does so alone, as long as the record can be reached."""
    try:
        take_after(shop, "rollback", goal)
    except (Held, Interrupted):
        raise
    except ShipitError as error:
        note(shop, f"the record could not be reached, going on without it: {error.what} ({error.why})")


@_or_refused("abort")
def abort(shop: Shop) -> Ended:
    """Sends everything back to what served before the release that is under way, whoever runs it, or nobody any more."""
    seen = shop.engine.look()
    goal = abort_goal(seen, _standing(shop).aim)
    started = start(shop, "abort", goal.version, goal.fleet or "")
    return _run(shop, started, goal, seen, before_tidying=_calling_off(shop, started, goal), patient=True)


def bake(shop: Shop, ref: str) -> Ended:
    """Makes the image of a version, or finds it."""
    shop.session.require_account(shop.config.settings.account)
    version = shop.repository.resolve(ref)
    started = start(shop, "bake", version)
    try:
        image = shop.baker.find(version)
        if image is None:
            facts = facts_of(shop.config.app, shop.config.env, version.name, version.commit)
            shop.hooks.run(Point.BEFORE_BAKE, facts)
            image = shop.baker.bake(version)
    except (UsageError, Refused, Interrupted):
        raise
    except ShipitError as error:
        why = f"{error.what}: {error.why}" if error.why else error.what
        return end(shop, started, Outcome(Ending.FAILED_CLEAN, None, why, error.next))
    return end(shop, started, Outcome(Ending.SUCCEEDED, None, image.id))


def plan(shop: Shop, wanted: Wanted) -> tuple[Goal, Plan]:
    """The steps that a release would take; changes nothing."""
    version, image = version_and_image(shop, wanted)
    seen = shop.engine.look()
    goal = goal_of_release(shop, wanted, version, image, seen)
    return goal, shop.engine.plan(goal, shop.engine.observer.deepened(seen, [goal.fleet] if goal.fleet else []))


def _standing(shop: Shop) -> Standing:
    """What is written down, or nothing where it cannot be read: neither abort nor rollback needs it."""
    try:
        return shop.record.read()
    except Interrupted:
        raise
    except ShipitError as error:
        note(shop, f"the record cannot be read, going on without it: {error.what} ({error.why})")
        return Standing()


def _under_lease(
    shop: Shop, command: str, version: Version, choose: Choice, manner: Manner, orders: Orders | None = None
) -> Ended:
    """Takes the lease, chooses the goal, goes for it, and gives the lease back; refused, it has touched nothing."""
    keeps = command == "resume"
    recall = shop.record.read().orders.recall
    try:
        standing = take(shop, command, version, Patience(manner.wait_seconds, keeps), keep_orders=keeps)
    except Held as held:
        return end_refused(shop, command, version, held)
    if orders is not None:
        shop.lease.adopt(orders)
    try:
        seen, goal = _chosen(shop, command, choose, standing, manner, recall)
    except Recalled as recalled:
        _free(shop, keep_aim=True)
        return end_refused(shop, command, version, recalled)
    except (UsageError, Interrupted):
        _free(shop, keep_aim=True)
        raise
    except ShipitError as error:
        _free(shop, keep_aim=True)
        return end_refused(shop, command, version, error)
    version = version if version.name else goal.version
    idle = command == "resume" and standing.aim is None and len(seen.split.serving) < 2
    started = start(shop, command, version, goal.fleet or "")
    return _run(shop, started, goal, seen, patient=goal.retire_parked, remark=NOTHING if idle else "")


def _chosen(
    shop: Shop, command: str, choose: Choice, standing: Standing, manner: Manner, recall: str | None
) -> tuple[Observed, Goal]:
    shop.lease.despite_freeze = manner.despite_freeze
    if standing.freeze and command in FREEZABLE and not manner.despite_freeze:
        freeze = standing.freeze
        why = f"{freeze.who} said so at {freeze.at:%Y-%m-%d %H:%M} UTC: {freeze.reason}"
        raise Refused(f"{shop.config.app} in {shop.config.env} is frozen", why, "shipit unfreeze, or --despite-freeze")
    # First: a split that differs from what was written is as young as this look.
    shop.engine.observer.recall(standing.written)
    seen = shop.engine.look()
    # With nothing to go on with, resume moves no traffic. And one who was called off and died could not write down any more
    # where traffic was sent then.
    goes_on = command != "resume" or standing.aim is not None
    sent_home = recall is not None and seen.split.percent(recall) == 100
    if goes_on and not sent_home and not manner.accept_drift:
        try:
            refuse_old_drift(standing.written, seen)
        except Drifted:
            shop.engine.spare(seen)
            raise
    goal = choose(seen, standing)
    if command == "release":
        _check_gates(shop, goal, seen)
    if command in SWEEPING:
        goal = replace(goal, discard=goal.discard | _strays(shop))
    if command != "resume":
        kept, home = manner.keep_failed, manner.auto_rollback
        goal = replace(goal, keep_failed=kept, auto_rollback=home, hand_over=manner.hand_over, smoke=manner.smoke)
    if goal.smoke and not seen.split.percent(goal.fleet or ""):
        refuse_to_smoke_blindly(shop.gates.smoking(), seen)
    return seen, goal


def _check_gates(shop: Shop, goal: Goal, seen: Observed) -> None:
    """What can never be judged is refused before anything is done, and what nobody will judge is told."""
    if not seen.split.total:
        return  # a first release has nothing to be compared with, and no stages
    if any(stage.watched for stage in goal.stages):
        shop.gates.check({name for stage in goal.stages for name in stage.gates})
    elif shop.gates.any:
        note(shop, "no gate is asked: the schedule has no hold (traffic.schedule or --canary, such as 5% 10m, 100%)")


def _strays(shop: Shop) -> frozenset[str]:
    """Parts of launches that were cut short, old enough not to be somebody's who is at it now."""
    patience = timedelta(seconds=shop.config.settings.health.deadline_seconds)
    return frozenset(shop.fleets.strays(shop.clock.now() - patience))


def _calling_off(shop: Shop, started: Started, goal: Goal) -> Callable[[Observed], Verdict]:
    return lambda observed: call_off(shop, started, goal)


def _run(
    shop: Shop,
    started: Started,
    goal: Goal,
    seen: Observed,
    *,
    patient: bool = False,
    before_tidying: Callable[[Observed], Verdict] | None = None,
    remark: str = "",
) -> Ended:
    """Goes for the goal; tells and writes down how it ended, and gives the lease back, whatever happens."""
    try:
        outcome = shop.engine.run(goal, seen, patient=patient, before_tidying=before_tidying)
    except Stopped as stopped:
        _end_stopped(shop, started, stopped)
        raise
    except (LeaseLost, Refused) as refused:
        shop.clock.watch = lambda: None
        outcome = last_look(shop, Ending.REFUSED, refused)
    except Interrupted:
        raise
    except ShipitError as error:
        outcome = last_look(shop, Ending.FAILED_DIRTY, error, "shipit status; then shipit resume")
    finally:
        shop.end_programs()
    if outcome.ending is Ending.SUCCEEDED and remark:
        outcome = replace(outcome, reason=remark)
    _free(shop, keep_aim=outcome.ending not in (Ending.SUCCEEDED, Ending.FAILED_CLEAN))
    if not remark:
        _hook_after(shop, started.command, replace(goal, home=goal.home or _served(goal, seen)), outcome)
    return end(shop, started, outcome)


def _hook_after(shop: Shop, command: str, goal: Goal, outcome: Outcome) -> None:
    """The hook that fits how it ended; what goes wrong with it changes nothing any more."""
    shipped = outcome.ending in (Ending.SUCCEEDED, Ending.SHIPPED_DIRTY) and goal.fleet and not goal.staged
    if outcome.ending in (Ending.FAILED_CLEAN, Ending.FAILED_DIRTY):
        point = Point.ON_FAILURE
    elif shipped and (command == "rollback" or (command == "resume" and goal.instant)):
        point = Point.AFTER_ROLLBACK
    elif shipped and command in ("release", "resume") and not goal.retreat:
        point = Point.AFTER_RELEASE
    else:
        return
    try:
        shop.engine.actor.hook(point, goal, SHIPIT_ENDING=outcome.ending.value, SHIPIT_REASON=outcome.reason)
    except Stopped:
        # It has been ended; what it came after has happened, and is told.
        shop.clock.resume()
        note(shop, f"hook {point} was stopped")


def _served(goal: Goal, seen: Observed) -> str:
    """The fleet that had most of the requests before, if it was another one."""
    return next((name for name in seen.split.serving if name != goal.fleet), "")


def _free(shop: Shop, *, keep_aim: bool) -> None:
    try:
        shop.lease.free(shop.lease.aim if keep_aim else None)
    except Interrupted:
        raise
    except ShipitError as error:
        note(
            shop,
            f"the lease was not given back and ends by itself: {error.what} ({error.why}); where that leaves an older split "
            "written down, the next command is told so: shipit resume --accept-drift",
        )


def _end_stopped(shop: Shop, started: Started, stopped: Stopped) -> None:
    """A stopped command waits for somebody who goes on or goes back; who serves now is said before the process ends."""
    shop.clock.resume()
    again = "shipit resume" if shop.lease.written_down else f"shipit {started.command} {started.version}".strip()
    _free(shop, keep_aim=True)
    outcome = last_look(shop, Ending.WAITING, stopped, f"go on: {again}; send traffic home: shipit abort")
    end(shop, started, outcome)
    stopped.told = True
