"""Does one step through the ports. Each act may be repeated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction

from shipit.errors import Interrupted, ShipitError
from shipit.gate import Gates, NoGates
from shipit.hooks import Hooks, NoHooks, Point, facts_of
from shipit.model import Exposure, Image, Mood, Observed, Pin, Verdict
from shipit.ports import Baker, Clock, Control, Fleets, Launch, Traffic
from shipit.release.goal import Goal
from shipit.release.observe import Observer
from shipit.release.policy import Policy
from shipit.release.steps import (
    AwaitEmpty,
    AwaitHealthy,
    AwaitInstances,
    BakeImage,
    BeforeTraffic,
    ClosePreview,
    DeleteFleet,
    DrainFleet,
    Hold,
    KeepClients,
    KeepFleet,
    LaunchFleet,
    LeaveAside,
    MarkServing,
    ParkFleet,
    Pause,
    PinFleet,
    Preview,
    ResizeFleet,
    Settle,
    ShiftTraffic,
    Smoke,
    Step,
    UnparkFleet,
    UnpinFleet,
)
from shipit.release.waits import DONE, Waits
from shipit.standing import Written
from shipit.wait import Pace, until

# How long a deletion is waited for. That AWS takes its time over it says nothing about health, so no setting of health counts.
DELETION_SECONDS = 900.0
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
    """The hands of the engine. `told` hears why a wait goes on; a `patient` one waits for AWS to finish a deletion."""

    fleets: Fleets
    traffic: Traffic
    baker: Baker
    observer: Observer
    clock: Clock
    control: Control
    policy: Policy
    told: Callable[[str], None]
    shifted: Callable[[Observed], None]
    gates: Gates = field(default_factory=NoGates)
    hooks: Hooks = field(default_factory=NoHooks)
    app: str = ""
    env: str = ""
    image: Image | None = None
    patient: bool = True
    waits: Waits = field(init=False)

    def __post_init__(self) -> None:
        self.waits = Waits(
            self.fleets,
            self.observer,
            self.clock,
            self.control,
            self.policy,
            self.gates,
            self.told,
            lambda goal, percent: self.hook(Point.AFTER_STAGE, goal, percent),
            self.app,
            self.env,
        )

    def act(self, step: Step, goal: Goal, observed: Observed) -> Verdict:
        """Does the step. A BAD verdict means that it can never succeed; errors of the world come as `ShipitError`."""
        match step:
            case BakeImage(version):
                self.hook(Point.BEFORE_BAKE, goal)
                self.image = self.baker.bake(version)
            case LaunchFleet(name, version, image_id, size):
                self.fleets.launch(Launch(name, version, image_id, goal.digest, size))
            case AwaitInstances() | AwaitHealthy() | Smoke() | Hold() | Pause() | Settle() | AwaitEmpty():
                return self.waits.wait(step, goal)
            case DeleteFleet(name, at_once):
                return self._delete(name, at_once)
            case BeforeTraffic(name):
                self.hook(Point.BEFORE_TRAFFIC, goal)
                self.fleets.expose(name, Exposure.SOME)  # whoever goes on does not run it again
            case ShiftTraffic():
                self._shift(step, goal, observed)
            case _:
                self._simple(step, observed)
        return DONE

    def _simple(self, step: Step, observed: Observed) -> None:
        match step:
            case Preview(name):
                self.traffic.open_preview(name)
            case ClosePreview():
                self.traffic.close_preview()
            case KeepClients(name, _, aside):
                for waiting in aside:
                    self.traffic.keep_aside(waiting)
                self.traffic.restore_stickiness(name)
            case LeaveAside(name):
                self.traffic.leave_aside(name)
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

    def hook(self, point: Point, goal: Goal, percent: Fraction | None = None, **more: str) -> None:
        """Runs a hook, if there is one, with what it may want to know. Raises `hooks.HookFailed`."""
        known = facts_of(self.app, self.env, goal.version.name, goal.version.commit)
        facts = {**known, "SHIPIT_FLEET": goal.fleet or "", "SHIPIT_OLD_FLEET": goal.home}
        share = {} if percent is None else {"SHIPIT_PERCENT": f"{float(percent):g}"}
        self.hooks.run(point, {**facts, **share, **more})

    def _keep_stickiness(self, goal: Goal, seconds: int) -> None:
        """What the shift is about to switch off. A way home is taken although it cannot be written down."""
        try:
            self.traffic.keep_stickiness(seconds)
        except Interrupted:
            raise
        except ShipitError as error:
            if not goal.instant:
                raise
            self.told(f"stickiness of {seconds} s is lost, set it again by hand: {error.what} ({error.why})")

    def _shift(self, step: ShiftTraffic, goal: Goal, observed: Observed) -> None:
        # Also one that somebody made serve by hand: it must not be ended without draining.
        for name in dict.fromkeys((*step.split.serving, *observed.split.serving)):
            fleet = observed.fleets.get(name)
            if fleet and fleet.exposure is Exposure.NONE:
                self.fleets.expose(name, Exposure.SOME)
            if fleet and fleet.exposure is Exposure.ALL and _arrives(name, step, observed):
                self.fleets.expose(name, Exposure.RETURNING)
        if observed.route.sticky_seconds and step.split.shares != observed.split.shares:
            self._keep_stickiness(goal, observed.route.sticky_seconds)
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

    def _delete(self, name: str, at_once: bool) -> Verdict:
        """Groups linger as "Delete in progress" (field notes B7): asked for again until nothing is left."""
        began = self.clock.now()

        def probe() -> Verdict:
            if self.fleets.delete(name, at_once=at_once):
                return DONE
            if not self.patient:
                return Verdict(Mood.BAD, f"{name} is still being deleted")
            late = (self.clock.now() - began).total_seconds() > DELETION_SECONDS
            return Verdict(Mood.BAD if late else Mood.NOT_YET, f"{name} is being deleted")

        return until(probe, self.clock, Pace(0.25, 1.5, self.policy.poll_seconds), self.told)
