"""The way home: after a failure, or when somebody asks for it, what served before serves again, in one write.

It is the same loop with another goal. Nothing here undoes anything.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shipit.errors import Interrupted, Recalled, ShipitError
from shipit.model import Ending, Exposure, Fleet, Observed, Split
from shipit.release.aim import aim_of
from shipit.release.finish import tidied
from shipit.release.goal import Goal, give_up
from shipit.release.guard import has_drifted, refuse_drift
from shipit.release.judge import may_go_home
from shipit.release.outcome import Outcome
from shipit.release.steps import ShiftTraffic
from shipit.standing import Written

if TYPE_CHECKING:
    from shipit.release.engine import Engine


def failed(engine: Engine, goal: Goal, before: Observed, why: str, next: str) -> Outcome:
    """What served before serves again, the failed fleet goes, and everything else stays as it was found."""
    _explain(engine, goal, why)
    stays = _stay(engine, goal, before, why) if goal.instant else None
    if stays:
        return stays
    if not goal.auto_rollback:
        return _wait_for_a_person(engine, goal, before, why)
    back = replace(give_up(goal, before), why=why)
    try:
        seen = engine.look(back)
        if back.fleet is None and seen.split.percent(goal.fleet or ""):
            reason = f"{why}; nothing served before, so it keeps the requests"
            return engine.outcome(Ending.FAILED_DIRTY, seen, reason, "shipit resume")
        engine.ports.control.tell(aim=aim_of(back))
        if has_drifted(engine.known, seen):
            engine.spare(seen)
        refuse_drift(engine.known, seen)
        if _home_is_sick(engine, goal, back, seen):
            return _halt(engine, goal, back, seen, why)
        left, observed = _return(engine, goal, back, seen)
    except Interrupted:
        raise
    except ShipitError as second:
        left, observed = f"{second.what}: {second.why}" if second.why else second.what, before
    return _verdict(engine, before, goal, (why, next), left, observed)


def stranded(engine: Engine, back: Goal, before: Observed) -> Outcome | None:
    """How it ends when somebody asks for the way home and there is nobody healthy, while there is where traffic is now."""
    home = before.fleets.get(back.fleet or "")
    others = [fleet for fleet in before.serving_fleets() if fleet.name != back.fleet and fleet.healthy]
    if home is None or home.healthy or not others:
        return None
    there, why = replace(back, fleet=others[0].name), back.why or "asked to go home"
    try:
        return _halt(engine, there, back, before, why)
    except Interrupted:
        raise
    except ShipitError as second:
        reason = f"{why}, where nobody is healthy; and then: {second.what}: {second.why}"
        return engine.outcome(Ending.FAILED_DIRTY, before, reason, "shipit status; then the same command again")


def gone_on(engine: Engine, back: Goal, before: Observed) -> Outcome:
    """A retreat that was cut short is finished."""
    try:
        left, observed = _return(engine, back, back, before)
    except Interrupted:
        raise
    except ShipitError as second:
        left, observed = f"{second.what}: {second.why}" if second.why else second.what, before
    if left:
        return engine.outcome(Ending.FAILED_DIRTY, observed, f"{back.why}; and then: {left}", "shipit status")
    return engine.outcome(Ending.FAILED_CLEAN, observed, back.why)


def recalled(engine: Engine, goal: Goal, before: Observed, order: Recalled) -> Outcome:
    """Another command made something else serve: help it to, clean up after ourselves, and leave."""
    why = f"{order.by} asked for it"
    engine.note(f"called off: {why}")
    home = give_up(goal, before)
    back = replace(_as_ordered(home, before, order), why=why)
    engine.ports.control.tell(aim=aim_of(back))
    try:
        seen = engine.look(back)
        engine.ports.control.tell(written=Written(dict(seen.split.weights), seen.split_since))
        # By now it may have served everybody: then it stays, for whoever wants it back.
        back = replace(back, discard=frozenset(n for n in back.discard if not _proven(n, seen)))
        if not order.fleet and not seen.split.percent(goal.fleet or ""):
            back = _as_it_is(back, seen)
        left, observed = _return(engine, goal, back, seen, Split({back.fleet or "": 100}))
        engine.ports.control.tell(written=Written(dict(observed.split.weights), engine.ports.clock.now()))
    except Interrupted:
        raise
    except ShipitError as second:
        left, observed = f"{second.what}: {second.why}" if second.why else second.what, before
    if back.fleet == home.fleet:
        return _verdict(engine, before, goal, (why, ""), left, observed)
    return engine.outcome(Ending.REFUSED, observed, f"{why}; {left}" if left else why, "shipit status")


def _as_it_is(back: Goal, seen: Observed) -> Goal:
    """Sent home without a share, a release has no traffic to move: who serves now may be what the other one made serve meanwhile."""
    serving = next(iter(seen.serving_fleets()), None)
    if serving is None or serving.name in {back.fleet, *back.discard}:
        return back
    fleet, image = serving.name, serving.image_id
    return replace(back, version=serving.version, fleet=fleet, image_id=image, digest=serving.launch_digest)


def _as_ordered(home: Goal, before: Observed, order: Recalled) -> Goal:
    fleet = before.fleets.get(order.fleet)
    if fleet is None or fleet.name == home.fleet:
        return home
    failed = home.discard - {fleet.name}
    return Goal(fleet.version, fleet.name, fleet.image_id, fleet.launch_digest, instant=True, discard=failed)


def _return(engine: Engine, goal: Goal, back: Goal, seen: Observed, *known: Split) -> tuple[str, Observed]:
    """Ships the goal that leads back and tidies up; what is left, in words, and the last look."""
    # A rollback has asked nobody yet: what serves may be what a release is working with.
    mine = back.discard | {goal.fleet or ""} | (set() if goal.instant and not goal.retreat else {back.fleet or ""})
    returned = engine.ship(back, seen, *known)
    if returned.verdict.bad:
        return returned.verdict.reason, returned.observed
    return tidied(engine, back, returned.observed, wait=True, only=frozenset(mine))


def _verdict(
    engine: Engine, before: Observed, goal: Goal, said: tuple[str, str], left: str, observed: Observed
) -> Outcome:
    why, ways = said
    may_serve = {*before.split.serving, goal.home} - {goal.fleet if goal.home else ""}
    if not left and not set(observed.split.serving) <= may_serve:
        left = "it serves all the same"
    if left:
        return engine.outcome(Ending.FAILED_DIRTY, observed, f"{why}; and then: {left}", "shipit status")
    if goal.keep_failed and goal.fleet in observed.fleets:
        ways = f"{goal.fleet} is kept, to be looked at: shipit logs; shipit gc --kept --yes ends it"
    return engine.outcome(Ending.FAILED_CLEAN, observed, why, ways)


def _proven(name: str, seen: Observed) -> bool:
    fleet = seen.fleets.get(name)
    return fleet is not None and fleet.exposure is Exposure.ALL


def _last_look(engine: Engine, goal: Goal, before: Observed) -> Observed:
    try:
        return engine.look(goal)
    except Interrupted:
        raise
    except ShipitError:
        return before


def _wait_for_a_person(engine: Engine, goal: Goal, before: Observed, why: str) -> Outcome:
    observed = _last_look(engine, goal, before)
    ways = "go on: shipit resume; send traffic home: shipit abort"
    return engine.outcome(Ending.WAITING, observed, why, ways)


def _stay(engine: Engine, goal: Goal, before: Observed, why: str) -> Outcome | None:
    """There is no way back from a way back, nor from a rollback whose flip took effect: that would be the bad version."""
    try:
        observed = engine.look(goal)
    except Interrupted:
        raise
    except ShipitError as second:
        reason = f"{why}; and then: {second.what}: {second.why}"
        return engine.outcome(Ending.FAILED_DIRTY, before, reason, "shipit status; then the same command again")
    if goal.fleet and observed.split.percent(goal.fleet) == 100:
        return engine.outcome(Ending.SHIPPED_DIRTY, observed, why, "shipit resume")
    if goal.retreat:
        return engine.outcome(Ending.FAILED_DIRTY, observed, why, "shipit status; then the same command again")
    return None


def _home_is_sick(engine: Engine, goal: Goal, back: Goal, seen: Observed) -> bool:
    home, fleet = seen.fleets.get(back.fleet or ""), seen.fleets.get(goal.fleet or "")
    if home is None or may_go_home(home, fleet, engine.policy):
        return False
    return bool(seen.split.percent(goal.fleet or "")) or (fleet is not None and fleet.healthy > home.healthy)


def _halt(engine: Engine, goal: Goal, back: Goal, seen: Observed, why: str) -> Outcome:
    """Both are sick. Traffic goes to the one with healthy instances where the other has none at all, and else stays."""
    fleets = [seen.fleets[name] for name in (back.fleet, goal.fleet) if name and name in seen.fleets]
    best = max(fleets, key=lambda fleet: fleet.healthy)
    dead = [fleet.name for fleet in fleets if not fleet.healthy and seen.split.percent(fleet.name)]
    observed = seen
    if best.healthy and dead:
        observed = _give_all(engine, goal, best, seen)
    counts = ", ".join(f"{fleet.version.name} {fleet.healthy} of {fleet.desired} healthy" for fleet in fleets)
    reason = f"{why}; what served before is sick as well ({counts}), so traffic stays where most targets are healthy"
    return engine.outcome(Ending.FAILED_DIRTY, observed, reason, "shipit status; then shipit resume, abort or rollback")


def _give_all(engine: Engine, goal: Goal, best: Fleet, seen: Observed) -> Observed:
    weights = {**dict.fromkeys(seen.split.weights, 0), best.name: 100}
    step = ShiftTraffic(Split(weights), best.name)
    if not engine.do(step, goal, seen).good:
        engine.do(step, goal, seen)  # a record that did not answer is not asked a second time on the way home
    return engine.look(goal)


def _explain(engine: Engine, goal: Goal, why: str) -> None:
    """Says at once what went wrong, with the last words of a sick instance, before the way home is taken."""
    engine.note(f"failed: {why}")
    try:
        fleet = engine.observer.refresh(goal.fleet) if goal.fleet else None
        sick = next((i.id for i in fleet.instances if not i.serves), None) if fleet else None
        for line in engine.ports.fleets.last_words(sick) if sick else ():
            engine.note(f"{sick}: {line}")
    except Interrupted:
        raise
    except ShipitError as error:
        engine.note(f"its console could not be read: {error.what} ({error.why})")
