"""The loop: observe, plan, do the first step, observe again, until nothing is left to do.

Release, rollback and abort are this loop with another goal. A failure changes the goal to what served before, and the loop
goes on; there is no code that undoes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shipit.errors import Drifted, Interrupted, Recalled, ShipitError, Stale
from shipit.events import Note, Phase, Progress, Shifted, StepBegan
from shipit.model import Ending, Mood, Observed, Split, Verdict
from shipit.release import finish, retreat
from shipit.release.act import Actor
from shipit.release.aim import aim_of
from shipit.release.goal import Goal, adopt, home_of
from shipit.release.guard import refuse_drift, refuse_foreign_route, refuse_harm, refuse_launch, takes_capacity
from shipit.release.judge import judge_canary
from shipit.release.observe import Observer
from shipit.release.order import up_to_first_that_changes
from shipit.release.outcome import Arrival, Outcome, Ports, doomed, shares
from shipit.release.plan import Plan, plan
from shipit.release.policy import Policy
from shipit.release.steps import (
    BakeImage,
    Hold,
    Pause,
    ShiftTraffic,
    Smoke,
    Step,
    UnparkFleet,
)
from shipit.release.waits import DONE
from shipit.release.watch import in_doubt
from shipit.standing import Written

# A step that is still first in the plan after it was done this often has no effect that can be seen.
PATIENCE = 40
# How long after traffic has moved without us the word of a command of ours may take to arrive.
RECALL_SECONDS = 2
# Scheduled actions run on time by and large: "can be delayed for up to two minutes" (Auto Scaling user guide).
RETIREMENT_LAG_SECONDS = 180
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
    _moved: Observed | None = None
    known: tuple[Split, ...] = ()

    def __post_init__(self) -> None:
        ports = self.ports
        self.observer = Observer(ports.traffic, ports.fleets, ports.clock)
        self.actor = Actor(
            ports.fleets,
            ports.traffic,
            ports.baker,
            self.observer,
            ports.clock,
            ports.control,
            self.policy,
            self._told,
            self._shifted,
            ports.gates,
            ports.hooks,
            self.app,
            self.env,
        )

    def look(self, goal: Goal | None = None, *, all_health: bool = False) -> Observed:
        return self.observer.look(_concerned(goal) if goal else [], all_health=all_health)

    def plan(self, goal: Goal, observed: Observed) -> Plan:
        return plan(goal, observed, self.ports.clock.now(), self.policy)

    def run(
        self,
        goal: Goal,
        seen: Observed,
        *,
        patient: bool = False,
        before_tidying: Callable[[Observed], Verdict] | None = None,
    ) -> Outcome:
        """Goes for the goal and tidies up; never raises for what AWS or the app did, only for what ends a command from
        outside (`Interrupted`) and for refusals.

        `seen` is the look on which the goal was chosen. `patient` also waits for what needs time after the goal serves:
        draining, deletions. `before_tidying` is asked once the goal serves: GOOD to tidy up, else nothing is tidied: NOT_YET when
        somebody else does it, BAD when nobody does.
        """
        before = self.observer.deepened(seen, _concerned(goal))
        refuse_foreign_route(before)
        goal = self._with_home(goal, before)
        try:
            halted = retreat.stranded(self, goal, before) if goal.retreat else None
            if halted:
                return halted
            if goal.retreat and goal.why:
                return retreat.gone_on(self, goal, before)
            arrived = self._arrive(goal, before, looks_again=before_tidying is not None)
            if isinstance(arrived, Outcome):
                return arrived
            word = before_tidying(arrived.observed) if before_tidying else DONE
            if not word.good:
                ending, ways = (Ending.SHIPPED_DIRTY, "shipit abort once more") if word.bad else (Ending.SUCCEEDED, "")
                return self.outcome(ending, arrived.observed, word.reason, ways)
            if before_tidying:
                # Until it was told to stop, another one may have parked the fleet that serves now.
                arrived = replace(arrived, observed=self.look(arrived.goal))
                if goal.fleet is None and arrived.observed.split.total:
                    why = "it had ended before it could be told, and nothing served before it, so it keeps the requests"
                    return self.outcome(Ending.REFUSED, arrived.observed, why, "shipit status")
            return finish.finished(self, arrived, patient)
        except Recalled as order:
            return self._obey(order, goal, before)

    def _obey(self, order: Recalled, goal: Goal, before: Observed) -> Outcome:
        """Whoever speaks last is heard: an order may come while another one is being followed."""
        while True:
            try:
                return retreat.recalled(self, goal, before, order)
            except Recalled as later:
                order = later

    def _arrive(self, goal: Goal, before: Observed, *, looks_again: bool) -> Arrival | Outcome:
        """The goal serves; or how it ended otherwise."""
        try:
            arrival = self.ship(goal, before, looks_again=looks_again)
        except Interrupted:
            raise
        except Drifted as drift:
            return self.drifted(Ending.REFUSED, goal, drift)
        except ShipitError as error:
            why = f"{error.what}: {error.why}" if error.why else error.what
            return retreat.failed(self, goal, before, why, error.next)
        if arrival.waits:
            return self.outcome(
                Ending.WAITING, arrival.observed, arrival.verdict.reason, "shipit promote, or shipit abort"
            )
        if arrival.verdict.bad:
            return retreat.failed(self, arrival.goal, before, self._in_context(arrival.verdict.reason), "")
        return arrival

    def _with_home(self, goal: Goal, before: Observed) -> Goal:
        """The goal with the fleet to go back to, written down before anything is done for it."""
        home = home_of(goal, before)
        goal = replace(goal, home=home.name if home and not goal.instant else goal.home)
        written = Written(dict(before.split.weights), before.split_since)
        self.ports.control.tell(aim=aim_of(goal), written=written)
        return goal

    def drifted(self, ending: Ending, goal: Goal, drift: Drifted) -> Outcome:
        self._await_word()
        observed = self.look(goal)
        self.spare(observed)
        return self.outcome(ending, observed, f"{drift.what}: {drift.why}", drift.next)

    def spare(self, observed: Observed) -> None:
        """A parked fleet that somebody made serve by hand would shrink at its date, under the requests: that is cancelled."""
        for fleet in observed.serving_fleets():
            if fleet.parked_until:
                try:
                    self.do(UnparkFleet(fleet.name), Goal(fleet.version, fleet.name), observed)
                except Interrupted:
                    raise
                except ShipitError as error:
                    self.note(f"{doomed(fleet)}: its retirement could not be cancelled: {error.what} ({error.why})")

    def _await_word(self) -> None:
        """Whoever moved the traffic may be one of us, whose word for it arrives a moment later, as `Recalled`."""
        for _ in range(RECALL_SECONDS * 4):
            self.ports.clock.sleep(0.25)

    def ship(self, goal: Goal, seen: Observed, *known: Split, looks_again: bool = False) -> Arrival:
        """Step by step until the plan has no step left that leads to the goal; BAD when it cannot be reached. Splits that are
        `known` beside the one that was seen are not somebody else's doing. Where whoever asked `looks_again` in any case, what
        was read back after a shift is look enough.
        """
        observed, self.known = seen, (seen.split, *known)
        last: Step | None = None
        repeats = 0
        while True:
            refuse_drift(self.known, observed)
            goal = replace(goal, orders=self.ports.control.orders())
            verdict = self._judge_share(goal, observed)
            steps = self.plan(goal, observed).ship
            if verdict.bad or not steps:
                return Arrival(verdict, goal, observed)
            if goal.hand_over and isinstance(steps[0], Pause) and steps[0].manual:
                doubts = in_doubt(self.ports.gates.words(), steps[0].percent)
                why = f"{steps[0].sentence}{f'; {doubts}' if doubts else ''}"
                return Arrival(Verdict(Mood.NOT_YET, why), goal, observed, waits=True)
            if looks_again:
                refuse_launch(steps[0])
            repeats = repeats + 1 if steps[0] == last else 0
            self.slow_down(steps[0], repeats)
            self.known, last = (observed.split,), steps[0]
            self._moved = None
            for step in up_to_first_that_changes(steps):
                if isinstance(step, ShiftTraffic):
                    # Should the write fail, it may have taken effect or not; neither is somebody else's doing.
                    self.known = (observed.split, step.split)
                verdict, goal = self._advance(step, goal, observed)
                if verdict.bad:
                    return Arrival(verdict, goal, observed)
                if not verdict.good or self._may_have_shrunk(step, observed):
                    break
            # The last one is what a user is shown as expected: what was not sent may still have left with an earlier try.
            self.known = self.known[-1:] if self._moved else self.known[::-1]
            observed = self._moved if looks_again and self._moved else self.look(goal)

    def _may_have_shrunk(self, step: Step, observed: Observed) -> bool:
        """Its retirement was cancelled, but so late that it may have run since the last look."""
        fleet = observed.fleets.get(step.about)
        until = fleet.parked_until if fleet and isinstance(step, UnparkFleet) else None
        return until is not None and until - self.ports.clock.now() < timedelta(seconds=RETIREMENT_LAG_SECONDS)

    def _advance(self, step: Step, goal: Goal, observed: Observed) -> tuple[Verdict, Goal]:
        """Does the step; the goal that comes back knows what was found out on the way."""
        try:
            verdict = self.do(step, goal, observed)
        except Interrupted:
            raise
        except ShipitError as error:
            if not (goal.instant and isinstance(step, UnparkFleet)):
                raise
            self.note(f"could not {step.sentence}, shifting all the same: {error.what} ({error.why})")
            return DONE, replace(goal, flip_first=True)
        if isinstance(step, BakeImage) and self.actor.image:
            goal = adopt(replace(goal, image_id=self.actor.image.id), observed)
            self.ports.control.tell(aim=aim_of(goal))
        return verdict, goal

    def _judge_share(self, goal: Goal, observed: Observed) -> Verdict:
        """Between two stages: may the fleet keep the share that it has?"""
        in_between = goal.fleet and 0 < observed.split.percent(goal.fleet) < 100 and not goal.instant
        return judge_canary(goal, observed, self.ports.clock.now(), self.policy) if in_between else DONE

    def _in_context(self, reason: str) -> str:
        """A verdict may only say that the wait is over; what was heard last says what was wrong. Some steps say it all."""
        says_all = not self._heard or self._heard in reason or isinstance(self._step, Hold | Pause | Smoke)
        return reason if says_all else f"{reason}; before that: {self._heard}"

    def note(self, text: str) -> None:
        self.emit(Note(at=self.ports.clock.now(), app=self.app, env=self.env, text=text))

    def do(self, step: Step, goal: Goal, observed: Observed) -> Verdict:
        """GOOD once it is done, BAD when it never can be, NOT_YET when it has to be decided anew upon a fresh look."""
        refuse_harm(step, observed)
        clock = self.ports.clock
        clock.sleep(0)
        self._step, self._heard = step, ""
        began = clock.now()
        self.ports.control.tell(phase=step.sentence)
        self.emit(
            StepBegan(at=began, app=self.app, env=self.env, step=step.kind, sentence=step.sentence, fleet=step.about)
        )
        try:
            if takes_capacity(step, observed):
                # The last look is some calls old, and neither rollback nor abort asks before it moves traffic.
                refuse_drift((observed.split,), replace(observed, route=self.ports.traffic.observe()))
            return self.actor.act(step, goal, observed)
        except Stale as stale:
            self.note(f"looking again: {stale.what}, {stale.why}")
            return Verdict(Mood.NOT_YET, stale.why)
        finally:
            spent = (clock.now() - began).total_seconds()
            self._seconds[step.phase] = self._seconds.get(step.phase, 0.0) + spent

    def slow_down(self, step: Step, repeats: int) -> None:
        """A step that is first again has not been seen to work yet: AWS may be behind, so look less often."""
        if repeats > PATIENCE:
            raise ShipitError(
                f"no effect after {repeats} tries: {step.sentence}", "AWS shows the old state", "shipit status"
            )
        if repeats:
            self.ports.clock.sleep(self.policy.poll_seconds)

    def outcome(self, ending: Ending, observed: Observed, reason: str = "", next: str = "") -> Outcome:
        phases = tuple(Phase(name=name, seconds=round(seconds, 3)) for name, seconds in self._seconds.items())
        return Outcome(ending, observed, reason, next, phases, self.actor.image)

    def _told(self, reason: str) -> None:
        self._heard = reason
        step = self._step.kind if self._step else ""
        self.emit(Progress(at=self.ports.clock.now(), app=self.app, env=self.env, step=step, reason=reason))

    def _shifted(self, observed: Observed) -> None:
        self._moved = observed
        self.emit(Shifted(at=self.ports.clock.now(), app=self.app, env=self.env, split=shares(observed)))


def _concerned(goal: Goal) -> list[str]:
    """The fleets whose health the decision needs beside that of those which serve."""
    home = [goal.home] if goal.home and not goal.instant else []
    return [*goal.discard, *([goal.fleet] if goal.fleet else []), *home]
