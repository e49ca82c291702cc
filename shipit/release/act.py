"""Does one step through the ports. Each act may be repeated; waiting steps end with a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shipit.model import Exposure, Fleet, Image, Mood, Observed, Pin, Verdict
from shipit.ports import Baker, Clock, Fleets, Launch, Traffic
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
    LaunchFleet,
    MarkServing,
    ParkFleet,
    PinFleet,
    Preview,
    ResizeFleet,
    Settle,
    ShiftTraffic,
    Step,
    UnparkFleet,
    UnpinFleet,
)
from shipit.wait import Pace, until

DONE = Verdict(Mood.GOOD, "done")
# Processes that would change the capacity of an idle fleet. Launch, Terminate, HealthCheck and ReplaceUnhealthy stay on:
# the fleet must heal itself while it is the way back (field notes B6).
SUSPENDED_BY_PIN = ("AlarmNotification", "AZRebalance")


def _arrives(name: str, step: ShiftTraffic, observed: Observed) -> bool:
    """It gets a first share that is not everything."""
    return observed.split.percent(name) == 0 and step.split.percent(name) < 100


@dataclass
class Actor:
    """The hands of the engine. `told` hears why a wait goes on; a `patient` one waits for AWS to finish a deletion."""

    fleets: Fleets
    traffic: Traffic
    baker: Baker
    observer: Observer
    clock: Clock
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
            case AwaitInstances() | AwaitHealthy() | Hold() | Settle() | AwaitEmpty():
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
                self.fleets.pin(name, Pin(observed.fleets[name].min_size, SUSPENDED_BY_PIN))
            case UnpinFleet(name):
                self.fleets.unpin(name)
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
        for name in step.split.serving:
            fleet = observed.fleets.get(name)
            if fleet and fleet.exposure is Exposure.NONE:
                self.fleets.expose(name, Exposure.SOME)
            if fleet and fleet.exposure is Exposure.ALL and _arrives(name, step, observed):
                self.fleets.expose(name, Exposure.RETURNING)
        route = self.traffic.shift(step.split)
        self.shifted(replace(observed, route=route))

    def _wait(self, step: Step, goal: Goal, observed: Observed) -> Verdict:
        began = self.clock.now()
        probes: dict[type[Step], Callable[[], Verdict]] = {
            AwaitInstances: lambda: self._instances(step, began),  # type: ignore[arg-type]
            AwaitHealthy: self._steady(step, began) if isinstance(step, AwaitHealthy) else lambda: DONE,
            Hold: lambda: self._held(step, goal, began),  # type: ignore[arg-type]
            Settle: lambda: self._settled(step, began),  # type: ignore[arg-type]
            AwaitEmpty: lambda: self._emptied(step, began),  # type: ignore[arg-type]
        }
        longest = self.policy.poll_seconds
        return until(probes[type(step)], self.clock, Pace(min(0.25, longest), 1.5, longest), self.told)

    def _instances(self, step: AwaitInstances, began: datetime) -> Verdict:
        fleet = self.observer.refresh(step.fleet)
        return judge_launch(fleet, step.count, began, self.clock.now(), self.policy)

    def _steady(self, step: AwaitHealthy, began: datetime) -> Callable[[], Verdict]:
        """Healthy without a break for the time that the step names; a relapse starts the time anew."""
        healthy_since: list[datetime] = []

        def probe() -> Verdict:
            now = self.clock.now()
            verdict = judge_health(self.observer.refresh(step.fleet), step.count, began, now, self.policy)
            if not verdict.good:
                healthy_since.clear()
                return verdict
            healthy_since[:] = healthy_since or [now]
            if now - healthy_since[0] < timedelta(seconds=step.steady_seconds):
                return Verdict(Mood.NOT_YET, f"{verdict.reason}, watching that it stays so")
            self.observer.trust(step.fleet)
            return verdict

        return probe

    def _held(self, step: Hold, goal: Goal, began: datetime) -> Verdict:
        verdict = judge_canary(goal, self.observer.look([step.fleet]), self.policy)
        end = step.until or began + timedelta(seconds=step.seconds)
        if verdict.bad or self.clock.now() >= end:
            return verdict
        return Verdict(Mood.NOT_YET, f"holding, {verdict.reason}")

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
