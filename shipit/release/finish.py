"""What comes after the goal serves: tidying up, as far as there is time, and the ending that says what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shipit.errors import Drifted, Interrupted, ShipitError
from shipit.model import Ending, Observed
from shipit.release.goal import Goal
from shipit.release.guard import refuse_drift
from shipit.release.order import MILD, possible_now
from shipit.release.outcome import Arrival, Outcome, doomed

if TYPE_CHECKING:
    from shipit.release.engine import Engine

RESCUE = "before that: shipit resume with more permissions, or delete the scheduled action shipit-retire of its group"


def finished(engine: Engine, arrival: Arrival, patient: bool) -> Outcome:
    """The goal serves: tidies up; a `patient` command waits for what needs time."""
    try:
        left, observed = tidied(engine, arrival.goal, arrival.observed, wait=patient)
    except Interrupted:
        raise
    except Drifted as drift:
        return engine.drifted(Ending.SHIPPED_DIRTY, arrival.goal, drift)
    except ShipitError as error:
        serves = arrival.observed.fleets.get(arrival.goal.fleet or "")
        if serves and serves.parked_until:
            return engine.outcome(Ending.SHIPPED_DIRTY, arrival.observed, f"{error.what}; {doomed(serves)}", RESCUE)
        return engine.outcome(Ending.SHIPPED_DIRTY, arrival.observed, error.what, error.next or "shipit retire")
    if left and patient:
        return engine.outcome(Ending.SHIPPED_DIRTY, observed, left, "shipit retire")
    return engine.outcome(Ending.SUCCEEDED, observed)


def tidied(
    engine: Engine, goal: Goal, seen: Observed, *, wait: bool, only: frozenset[str] | None = None
) -> tuple[str, Observed]:
    """Does the tidying steps; returns what is left, in words, and the last look.

    Without `wait`, steps that only wait are left to the next command, and so is what comes after them for the same
    fleet. `only` limits it to steps for these fleets.
    """
    engine.actor.patient = wait
    given_up: dict[str, str] = {}
    observed, last, repeats = seen, None, 0
    while True:
        refuse_drift((seen.split,), observed)
        steps = [s for s in engine.plan(goal, observed).tidy if only is None or s.about in only]
        batch = possible_now(steps, set(given_up), wait)
        if not batch:
            return "; ".join(given_up.values()), observed
        repeats = repeats + 1 if batch[0] == last else 0
        engine.slow_down(batch[0], repeats)
        for step in batch:
            verdict = engine.do(step, goal, observed)
            if verdict.bad:
                given_up[step.about] = verdict.reason
            elif not verdict.good:
                break
        else:
            if len(batch) == len(steps) and all(isinstance(step, MILD) for step in batch):
                return "; ".join(given_up.values()), observed
        observed, last = engine.look(goal), batch[0]
