"""The loop: observe, plan, do the first step, observe again, until nothing is left to do.

Release, rollback and abort are this loop with another goal. A failure changes the goal to what served before, and the loop
goes on; there is no code that undoes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from shipit.errors import ShipitError, Stopped
from shipit.events import Note, Phase, Progress, Shifted, StepBegan
from shipit.model import Ending, Observed, Split, Verdict
from shipit.release.act import DONE, Actor
from shipit.release.goal import Goal, adopt, give_up
from shipit.release.guard import Drifted, refuse_drift, refuse_foreign_route, refuse_harm
from shipit.release.judge import judge_canary
from shipit.release.observe import Observer
from shipit.release.order import MILD, possible_now, up_to_first_that_changes
from shipit.release.outcome import Arrival, Outcome, Ports, shares
from shipit.release.plan import Plan, plan
from shipit.release.policy import Policy
from shipit.release.steps import (
    BakeImage,
    ShiftTraffic,
    Step,
    UnparkFleet,
)

# A step that is still first in the plan after it was done this often has no effect that can be seen.
PATIENCE = 40
Event = StepBegan | Progress | Shifted | Note


@dataclass
class Engine:
    """Works towards one goal at a time. `emit` hears every step."""

    ports: Ports
    policy: Policy
    emit: Callable[[Event], None]
    app: str = ""
    env: str = ""
    _seconds: dict[str, float] = field(default_factory=dict)
    _step: Step | None = None
    _heard: str = ""
    _known: tuple[Split, ...] = ()

    def __post_init__(self) -> None:
        ports = self.ports
        self.observer = Observer(ports.traffic, ports.fleets, ports.clock)
        self._actor = Actor(
            ports.fleets, ports.traffic, ports.baker, self.observer, ports.clock, self.policy, self._told, self._shifted
        )

    def look(self, goal: Goal | None = None, *, all_health: bool = False) -> Observed:
        return self.observer.look(_concerned(goal) if goal else [], all_health=all_health)

    def plan(self, goal: Goal, observed: Observed) -> Plan:
        return plan(goal, observed, self.ports.clock.now(), self.policy)

    def run(self, goal: Goal, seen: Observed, *, patient: bool = False) -> Outcome:
        """Goes for the goal and tidies up; never raises for what AWS or the app did, only for `Stopped` and refusals.

        `seen` is the look on which the goal was chosen. `patient` also waits for what needs time after the goal serves:
        draining, deletions.
        """
        before = self.observer.deepened(seen, _concerned(goal))
        refuse_foreign_route(before)
        try:
            arrival = self._ship(goal, before)
        except Stopped:
            raise
        except Drifted as drift:
            return self._outcome(Ending.REFUSED, self.look(goal), f"{drift.what}: {drift.why}", drift.next)
        except ShipitError as error:
            why = f"{error.what}: {error.why}" if error.why else error.what
            return self._failed(goal, before, why, error.next)
        if arrival.verdict.bad:
            return self._failed(arrival.goal, before, self._in_context(arrival.verdict.reason), "")
        return self._finish(arrival, patient)

    def _ship(self, goal: Goal, seen: Observed) -> Arrival:
        """Step by step until the plan has no step left that leads to the goal; BAD when it cannot be reached."""
        observed, self._known = seen, (seen.split,)
        last: Step | None = None
        repeats = 0
        while True:
            refuse_drift(self._known, observed)
            verdict = self._judge_share(goal, observed)
            steps = self.plan(goal, observed).ship
            if verdict.bad or not steps:
                return Arrival(verdict, goal, observed)
            repeats = repeats + 1 if steps[0] == last else 0
            self._slow_down(steps[0], repeats)
            self._known, last = (observed.split,), steps[0]
            for step in up_to_first_that_changes(steps):
                if isinstance(step, ShiftTraffic):
                    # Should the write fail, it may have taken effect or not; neither is somebody else's doing.
                    self._known = (observed.split, step.split)
                verdict, goal = self._advance(step, goal, observed)
                if verdict.bad:
                    return Arrival(verdict, goal, observed)
            self._known = self._known[-1:]
            observed = self.look(goal)

    def _advance(self, step: Step, goal: Goal, observed: Observed) -> tuple[Verdict, Goal]:
        """Does the step; the goal that comes back knows what was found out on the way."""
        try:
            verdict = self._do(step, goal, observed)
        except Stopped:
            raise
        except ShipitError as error:
            if not (goal.instant and isinstance(step, UnparkFleet)):
                raise
            self._note(f"could not {step.sentence}, shifting all the same: {error.what} ({error.why})")
            return DONE, replace(goal, flip_first=True)
        if isinstance(step, BakeImage) and self._actor.image:
            goal = adopt(replace(goal, image_id=self._actor.image.id), observed)
        return verdict, goal

    def _judge_share(self, goal: Goal, observed: Observed) -> Verdict:
        """Between two stages: may the fleet keep the share that it has?"""
        in_between = goal.fleet and 0 < observed.split.percent(goal.fleet) < 100 and not goal.instant
        return judge_canary(goal, observed, self.policy) if in_between else DONE

    def _finish(self, arrival: Arrival, patient: bool) -> Outcome:
        try:
            left, observed = self._tidy(arrival.goal, arrival.observed, wait=patient)
        except Stopped:
            raise
        except ShipitError as error:
            return self._outcome(Ending.SHIPPED_DIRTY, arrival.observed, error.what, error.next or "shipit retire")
        if left and patient:
            return self._outcome(Ending.SHIPPED_DIRTY, observed, left, "shipit retire")
        return self._outcome(Ending.SUCCEEDED, observed)

    def _failed(self, goal: Goal, before: Observed, why: str, next: str) -> Outcome:
        """What served before serves again, the failed fleet goes, and everything else stays as it was found."""
        back = give_up(goal, before)
        mine = back.discard | {back.fleet or "", goal.fleet or ""}
        observed = before
        self._explain(goal, why)
        try:
            observed = self.look(back)
            refuse_drift(self._known, observed)
            returned = self._ship(back, observed)
            left, observed = returned.verdict.reason, returned.observed
            if not returned.verdict.bad:
                left, observed = self._tidy(back, observed, wait=True, only=frozenset(mine))
        except Stopped:
            raise
        except ShipitError as second:
            left = f"{second.what}: {second.why}" if second.why else second.what
        if not left and not set(observed.split.serving) <= set(before.split.serving):
            left = "it serves all the same"
        if left:
            return self._outcome(Ending.FAILED_DIRTY, observed, f"{why}; and then: {left}", "shipit status")
        return self._outcome(Ending.FAILED_CLEAN, observed, why, next)

    def _in_context(self, reason: str) -> str:
        """A verdict may only say that the wait is over; what was heard last says what was wrong."""
        return reason if not self._heard or self._heard in reason else f"{reason}; before that: {self._heard}"

    def _explain(self, goal: Goal, why: str) -> None:
        """Says at once what went wrong, with the last words of a sick instance, before the way home is taken."""
        self._note(f"failed: {why}")
        try:
            fleet = self.observer.refresh(goal.fleet) if goal.fleet else None
            sick = next((i.id for i in fleet.instances if not i.serves), None) if fleet else None
            for line in self.ports.fleets.last_words(sick) if sick else ():
                self._note(f"{sick}: {line}")
        except Stopped:
            raise
        except ShipitError as error:
            self._note(f"its console could not be read: {error.what} ({error.why})")

    def _note(self, text: str) -> None:
        self.emit(Note(at=self.ports.clock.now(), app=self.app, env=self.env, text=text))

    def _tidy(
        self, goal: Goal, seen: Observed, *, wait: bool, only: frozenset[str] | None = None
    ) -> tuple[str, Observed]:
        """Does the tidying steps; returns what is left, in words, and the last look.

        Without `wait`, steps that only wait are left to the next command, and so is what comes after them for the same
        fleet. `only` limits it to steps for these fleets.
        """
        self._actor.patient = wait
        given_up: dict[str, str] = {}
        observed, last, repeats = seen, None, 0
        while True:
            refuse_drift((seen.split,), observed)
            steps = [s for s in self.plan(goal, observed).tidy if only is None or s.about in only]
            batch = possible_now(steps, set(given_up), wait)
            if not batch:
                return "; ".join(given_up.values()), observed
            repeats = repeats + 1 if batch[0] == last else 0
            self._slow_down(batch[0], repeats)
            for step in batch:
                verdict = self._do(step, goal, observed)
                if verdict.bad:
                    given_up[step.about] = verdict.reason
            if len(batch) == len(steps) and all(isinstance(step, MILD) for step in batch):
                return "; ".join(given_up.values()), observed
            observed, last = self.look(goal), batch[0]

    def _do(self, step: Step, goal: Goal, observed: Observed) -> Verdict:
        refuse_harm(step, observed)
        clock = self.ports.clock
        clock.sleep(0)
        self._step, self._heard = step, ""
        began = clock.now()
        self.emit(
            StepBegan(at=began, app=self.app, env=self.env, step=step.kind, sentence=step.sentence, fleet=step.about)
        )
        try:
            return self._actor.act(step, goal, observed)
        finally:
            spent = (clock.now() - began).total_seconds()
            self._seconds[step.phase] = self._seconds.get(step.phase, 0.0) + spent

    def _slow_down(self, step: Step, repeats: int) -> None:
        """A step that is first again has not been seen to work yet: AWS may be behind, so look less often."""
        if repeats > PATIENCE:
            raise ShipitError(
                f"no effect after {repeats} tries: {step.sentence}", "AWS shows the old state", "shipit status"
            )
        if repeats:
            self.ports.clock.sleep(self.policy.poll_seconds)

    def _outcome(self, ending: Ending, observed: Observed, reason: str = "", next: str = "") -> Outcome:
        phases = tuple(Phase(name=name, seconds=round(seconds, 3)) for name, seconds in self._seconds.items())
        return Outcome(ending, observed, reason, next, phases, self._actor.image)

    def _told(self, reason: str) -> None:
        self._heard = reason
        step = self._step.kind if self._step else ""
        self.emit(Progress(at=self.ports.clock.now(), app=self.app, env=self.env, step=step, reason=reason))

    def _shifted(self, observed: Observed) -> None:
        self.emit(Shifted(at=self.ports.clock.now(), app=self.app, env=self.env, split=shares(observed)))


def _concerned(goal: Goal) -> list[str]:
    return [*goal.discard, *([goal.fleet] if goal.fleet else [])]
