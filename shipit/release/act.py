"""Does one step through the ports. Each act may be repeated; waiting steps end with a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

from shipit.model import Exposure, Fleet, Image, Mood, Observed, Pin, Verdict
from shipit.ports import Baker, Clock, Control, Fleets, Launch, Traffic
from shipit.release.goal import Goal
from shipit.release.judge import judge_canary, judge_health, judge_launch
from shipit.release.observe import Observer
from shipit.release.policy import Policy
from shipit.release.steps import (
    AwaitEmpty,
    AwaitHealthy,
    AwaitInstances,
    BakeImage,
    ClosePreview,
    DeleteFleet,
    DrainFleet,
    Hold,
    KeepFleet,
    LaunchFleet,
    MarkServing,
    ParkFleet,
    Pause,
    PinFleet,
    Preview,
    ResizeFleet,
    Settle,
    ShiftTraffic,
    Step,
    UnparkFleet,
    UnpinFleet,
)
from shipit.standing import Written
from shipit.wait import Pace, until

DONE = Verdict(Mood.GOOD, "done")
# Processes that would change the capacity of an idle fleet. Launch, Terminate, HealthCheck and ReplaceUnhealthy stay on:
# the fleet must heal itself while it is the way back (field notes B6).
SUSPENDED_BY_PIN = ("AlarmNotification", "AZRebalance")
# A fleet that serves may have scheduled actions that shrink it; a parked one has its own retirement, which must run.
SUSPENDED_WHILE_SERVING = ("ScheduledActions",)


def _arrives(name: str, step: ShiftTraffic, observed: Observed) -> bool:
    """It gets a first share that is not everything."""
    return observed.split.percent(name) == 0 and step.split.percent(name) < 100


@dataclass
class Actor:
    """The hands of the engine. `told` hears why a wait goes on; a `patient` one waits for AWS to finish a deletion. A wait
    that only lets time pass ends as soon as `control` has other orders than the goal knows of.
    """

    fleets: Fleets
    traffic: Traffic
    baker: Baker
    observer: Observer
    clock: Clock
    control: Control
    policy: Policy
    told: Callable[[str], None]
    shifted: Callable[[Observed], None]
    image: Image | None = None
    patient: bool = True

    def act(self, step: Step, goal: Goal, observed: Observed) -> Verdict:
        """Does the step. A BAD verdict means that it can never succeed; errors of the world come as `ShipitError`."""
        match step:
            case BakeImage(version):
                self.image = self.baker.bake(version)
            case LaunchFleet(name, version, image_id, size):
                self.fleets.launch(Launch(name, version, image_id, goal.digest, size))
            case AwaitInstances() | AwaitHealthy() | Hold() | Pause() | Settle() | AwaitEmpty():
                return self._wait(step, goal, observed)
            case DeleteFleet(name, at_once):
                return self._delete(name, at_once)
            case ShiftTraffic():
                self._shift(step, observed)
            case _:
                self._simple(step, observed)
        return DONE

    def _simple(self, step: Step, observed: Observed) -> None:
        match step:
            case Preview(name):
                self.traffic.open_preview(name)
            case ClosePreview():
                self.traffic.close_preview()
            case ResizeFleet(name, size):
                self.fleets.resize(name, size)
            case PinFleet(name):
                also = SUSPENDED_WHILE_SERVING if observed.split.percent(name) > 0 else ()
                self.fleets.pin(name, Pin(observed.fleets[name].min_size, SUSPENDED_BY_PIN + also))
            case UnpinFleet(name):
                kept = self.fleets.unpin(name)
                if kept:
                    self.told(kept)
            case KeepFleet(name, until_):
                self.fleets.keep(name, until_)
            case MarkServing(name):
                self.fleets.expose(name, Exposure.ALL)
            case ParkFleet(name, until_, floor):
                self.fleets.park(name, until_, floor)
            case UnparkFleet(name):
                self.fleets.unpark(name)
            case DrainFleet(name):
                self.fleets.drain(name)
            case _:
                raise AssertionError(f"no act for {step!r}")

    def _shift(self, step: ShiftTraffic, observed: Observed) -> None:
        # Also one that somebody made serve by hand: it must not be ended without draining.
        for name in dict.fromkeys((*step.split.serving, *observed.split.serving)):
            fleet = observed.fleets.get(name)
            if fleet and fleet.exposure is Exposure.NONE:
                self.fleets.expose(name, Exposure.SOME)
            if fleet and fleet.exposure is Exposure.ALL and _arrives(name, step, observed):
                self.fleets.expose(name, Exposure.RETURNING)
        weights = dict(step.split.weights)
        self.control.tell(written=Written(dict(observed.split.weights), observed.split_since, weights))
        self.observer.unsettle(step.split)
        route = self.traffic.shift(step.split, observed.split)
        self.control.tell(written=Written(dict(route.split.weights), self.clock.now()))
        self.shifted(replace(observed, route=route))
        for fleet in observed.serving_fleets():
            if fleet.parked_until and route.split.percent(fleet.name) == 0:
                # Made to serve by hand: the time of its parking says nothing any more about when it lost its requests.
                self.fleets.unpark(fleet.name)

    def _wait(self, step: Step, goal: Goal, observed: Observed) -> Verdict:
        began = self.clock.now()
        probes: dict[type[Step], Callable[[], Verdict]] = {
            AwaitInstances: lambda: self._instances(step, began),  # type: ignore[arg-type]
            AwaitHealthy: self._steady(step, goal, began) if isinstance(step, AwaitHealthy) else lambda: DONE,
            Hold: lambda: self._held(step, goal, began),  # type: ignore[arg-type]
            Pause: lambda: self._paused(step, goal),  # type: ignore[arg-type]
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
        verdict = judge_canary(goal, observed, self.clock.now(), self.policy)
        end = step.until or began + timedelta(seconds=step.seconds)
        if verdict.bad or (verdict.good and self.clock.now() >= end):
            return verdict
        return Verdict(Mood.NOT_YET, f"holding, {verdict.reason}")

    def _paused(self, step: Pause, goal: Goal) -> Verdict:
        observed = self.observer.look([step.fleet])
        if self._overtaken(goal, step.percent, step.fleet, observed):
            return DONE
        verdict = judge_canary(goal, observed, self.clock.now(), self.policy) if step.percent else DONE
        by = f" by {goal.orders.by}" if goal.orders.by else ""
        return verdict if verdict.bad else Verdict(Mood.NOT_YET, f"paused{by}, {verdict.reason}")

    def _overtaken(self, goal: Goal, percent: Fraction, fleet: str, observed: Observed) -> bool:
        """Somebody gave other orders, or moved traffic: what is to be done now is planned anew."""
        return self.control.orders() != goal.orders or observed.split.percent(fleet) != percent

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

    def _delete(self, name: str, at_once: bool) -> Verdict:
        """Groups linger as "Delete in progress" (field notes B7): asked for again until nothing is left."""
        began = self.clock.now()

        def probe() -> Verdict:
            if self.fleets.delete(name, at_once=at_once):
                return DONE
            if not self.patient:
                return Verdict(Mood.BAD, f"{name} is still being deleted")
            late = (self.clock.now() - began).total_seconds() > self.policy.deadline_seconds
            return Verdict(Mood.BAD if late else Mood.NOT_YET, f"{name} is being deleted")

        return until(probe, self.clock, Pace(0.25, 1.5, self.policy.poll_seconds), self.told)
