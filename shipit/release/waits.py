"""Waits until a step's claim is true, or can never be: each wait ends with a verdict and its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from shipit.gate import Facts, Gates, Judged
from shipit.model import Fleet, Mood, Observed, Verdict
from shipit.ports import Clock, Control, Fleets
from shipit.release.goal import Goal
from shipit.release.judge import forsaken, judge_canary, judge_health, judge_launch
from shipit.release.observe import Observer
from shipit.release.policy import Policy
from shipit.release.steps import AwaitEmpty, AwaitHealthy, AwaitInstances, Hold, Pause, Settle, Smoke, Step
from shipit.release.watch import Word, decide, in_words
from shipit.wait import Pace, until

DONE = Verdict(Mood.GOOD, "done")


@dataclass
class Waits:
    """The patience of the engine. `told` hears why a wait goes on, `stage_over` that a hold has ended well. A wait that only lets
    time pass ends as soon as `control` has other orders than the goal knows of.
    """

    fleets: Fleets
    observer: Observer
    clock: Clock
    control: Control
    policy: Policy
    gates: Gates
    told: Callable[[str], None]
    stage_over: Callable[[Goal, Fraction], object]
    app: str = ""
    env: str = ""

    def wait(self, step: Step, goal: Goal) -> Verdict:
        """GOOD once what the step waits for is there, BAD when it never can be."""
        began = self.clock.now()
        probes: dict[type[Step], Callable[[], Verdict]] = {
            AwaitInstances: lambda: self._instances(step, began),  # type: ignore[arg-type]
            AwaitHealthy: self._steady(step, goal, began) if isinstance(step, AwaitHealthy) else lambda: DONE,
            Hold: lambda: self._held(step, goal, began),  # type: ignore[arg-type]
            Pause: lambda: self._paused(step, goal),  # type: ignore[arg-type]
            Smoke: lambda: self._smoked(step, goal, began),  # type: ignore[arg-type]
            Settle: lambda: self._settled(step, began),  # type: ignore[arg-type]
            AwaitEmpty: lambda: self._emptied(step, began),  # type: ignore[arg-type]
        }
        longest = self.policy.poll_seconds
        return until(probes[type(step)], self.clock, Pace(min(0.25, longest), 1.5, longest), self.told)

    def _instances(self, step: AwaitInstances, began: datetime) -> Verdict:
        fleet = self.observer.refresh(step.fleet)
        return judge_launch(fleet, step.count, began, self.clock.now(), self.policy)

    def _steady(self, step: AwaitHealthy, goal: Goal, began: datetime) -> Callable[[], Verdict]:
        """Healthy without a break for the time that the step names; a relapse starts the time anew."""
        healthy_since: list[datetime] = []

        def probe() -> Verdict:
            now = self.clock.now()
            verdict = judge_health(self.observer.refresh(step.fleet), step.count, began, now, self.policy)
            if not verdict.good and goal.fleet == step.fleet and not goal.instant:
                verdict = self._judge_share(goal) or verdict
            if not verdict.good:
                healthy_since.clear()
                return verdict
            healthy_since[:] = healthy_since or [now]
            if now - healthy_since[0] < timedelta(seconds=step.steady_seconds):
                return Verdict(Mood.NOT_YET, f"{verdict.reason}, watching that it stays so")
            self.observer.trust(step.fleet)
            return verdict

        return probe

    def _judge_share(self, goal: Goal) -> Verdict | None:
        """BAD when a fleet that already has a share must not keep it."""
        observed = self.observer.look([goal.fleet or ""])
        if not observed.split.percent(goal.fleet or ""):
            return None
        verdict = judge_canary(goal, observed, self.clock.now(), self.policy)
        return verdict if verdict.bad else None

    def _held(self, step: Hold, goal: Goal, began: datetime) -> Verdict:
        observed = self.observer.look([step.fleet])
        if self._overtaken(goal, step.percent, step.fleet, observed):
            return DONE
        now = self.clock.now()
        verdict = judge_canary(goal, observed, now, self.policy)
        end = step.until or began + timedelta(seconds=step.seconds)
        judged = self._asked(goal, step, observed)
        # Whoever goes on with a hold that was over long ago has a look at it first.
        longest = max([step.seconds, *(one.knows_after_seconds for one in judged)])
        extended = now >= max(end, began) + timedelta(seconds=longest)
        decision = decide(judged, over=now >= end, extended=extended)
        if verdict.bad:
            return verdict
        text = f"{verdict.reason}; {decision.reason}" if decision.reason else verdict.reason
        if decision.word is Word.GO_HOME:
            return Verdict(Mood.BAD, decision.reason)
        if decision.word is Word.HOLD or not verdict.good:
            return Verdict(Mood.NOT_YET, f"holding, {text}")
        self.observer.hold_ended(step.fleet, step.percent, doubted=decision.word is Word.ASK)
        self.stage_over(goal, step.percent)
        return Verdict(Mood.GOOD, text)

    def _asked(self, goal: Goal, step: Hold | Pause, observed: Observed) -> Sequence[Judged]:
        """What the gates say of the fleet at this share."""
        if not step.percent:
            return ()
        home = next((name for name in observed.split.serving if name != step.fleet), goal.home)
        since = observed.split_since or self.clock.now()
        return self.gates.judge(self._facts(goal, observed, home, step.percent, since, step.gates))

    def _facts(
        self, goal: Goal, observed: Observed, home: str, percent: Fraction, since: datetime, gates: tuple[str, ...]
    ) -> Facts:
        now, token = self.clock.now(), observed.route.preview_token
        known = token if observed.route.preview == goal.fleet else ""
        return Facts(self.app, self.env, goal.version.name, goal.fleet or "", home, percent, since, now, gates, known)

    def _smoked(self, step: Smoke, goal: Goal, began: datetime) -> Verdict:
        """What those say who can judge a fleet that has no share: nothing passes that nobody has tried."""
        names = tuple(self.gates.smoking())
        if not names:
            return Verdict(Mood.BAD, "there is no gate of kind probe or command to try it with")
        observed = self.observer.look([step.fleet])
        if observed.route.preview != step.fleet:
            return DONE  # somebody has removed the rule: it is opened again, and the test begins anew
        if not observed.route.preview_token:
            taken = "every priority before the rule that is shifted is taken, so the preview rule has no effect"
            return Verdict(Mood.BAD, f"smoke test: {taken}; give traffic.rule a larger number")
        home = next(iter(observed.split.serving), "")
        judged = self.gates.judge(self._facts(goal, observed, home, Fraction(0), began, names))
        text, bad = in_words(judged), [one for one in judged if one.opinion.mood is Mood.BAD]
        if bad:
            return Verdict(Mood.BAD, f"smoke test: {in_words(bad)}")
        late = (self.clock.now() - began).total_seconds() >= self.policy.deadline_seconds
        if all(one.opinion.mood is Mood.GOOD and (one.opinion.settled or late) for one in judged):
            self.observer.smoke_passed(step.fleet)
            return Verdict(Mood.GOOD, text)
        why = f"smoke test: {text}, after {self.policy.deadline_seconds:g} s (health.deadline_seconds)"
        return Verdict(Mood.BAD, why) if late else Verdict(Mood.NOT_YET, text)

    def _paused(self, step: Pause, goal: Goal) -> Verdict:
        observed = self.observer.look([step.fleet])
        if self._overtaken(goal, step.percent, step.fleet, observed):
            return DONE
        verdict = judge_canary(goal, observed, self.clock.now(), self.policy) if step.percent else DONE
        bad = [one for one in self._asked(goal, step, observed) if one.opinion.mood is Mood.BAD]
        if bad:
            return Verdict(Mood.BAD, in_words(bad))
        by = f" by {goal.orders.by}" if goal.orders.by else ""
        state = "waiting for a person" if step.manual else f"paused{by}"
        return verdict if verdict.bad else Verdict(Mood.NOT_YET, f"{state}, {verdict.reason}")

    def _overtaken(self, goal: Goal, percent: Fraction, fleet: str, observed: Observed) -> bool:
        """Somebody gave other orders, moved traffic, can serve no more, or is about to shrink: what is to be done now is planned
        anew.
        """
        moved = self.control.orders() != goal.orders or observed.split.percent(fleet) != percent
        doomed = any(serving.parked_until for serving in observed.serving_fleets())
        return moved or doomed or bool(forsaken(goal, observed, self.policy))

    def _settled(self, step: Settle, began: datetime) -> Verdict:
        end = step.until or began + timedelta(seconds=step.seconds)
        return DONE if self.clock.now() >= end else Verdict(Mood.NOT_YET, step.sentence)

    def _emptied(self, step: AwaitEmpty, began: datetime) -> Verdict:
        fleet: Fleet | None = self.fleets.observe([step.fleet]).get(step.fleet)
        if fleet is None or not fleet.instances:
            return DONE
        waited = (self.clock.now() - began).total_seconds()
        text = f"{len(fleet.instances)} instances of {step.fleet} are draining"
        late = waited > self.policy.deadline_seconds + 3600
        return Verdict(Mood.BAD if late else Mood.NOT_YET, text)
