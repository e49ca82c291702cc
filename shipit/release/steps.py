"""The steps of a plan: values that say themselves in English. Names and numbers in them, never ARNs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from fractions import Fraction

from shipit.model import Split, Version
from shipit.schedule import format_percent
from shipit.value import value


@value()
class Step:
    """One idempotent act. `phase` is the heading under which its seconds are counted."""

    @property
    def kind(self) -> str:
        return type(self).__name__

    @property
    def about(self) -> str:
        """The fleet that the step is done for; empty when it is for no single one."""
        return str(getattr(self, "fleet", ""))

    @property
    def phase(self) -> str:
        return PHASES.get(self.kind, "tidy")

    @property
    def sentence(self) -> str:
        raise NotImplementedError

    @property
    def waits(self) -> bool:
        """True for steps that only let time pass."""
        return False


@value()
class FleetStep(Step):
    fleet: str


@value()
class BakeImage(Step):
    version: Version

    @property
    def sentence(self) -> str:
        commit = f" (commit {self.version.short_commit})" if self.version.commit else ""
        return f"bake an image of {self.version.name}{commit}"


@value()
class LaunchFleet(FleetStep):
    version: Version
    image_id: str
    size: int

    @property
    def sentence(self) -> str:
        return f"launch fleet {self.fleet}: {_instances(self.size)} of {self.version.name} behind a new target group"


@value()
class AwaitInstances(FleetStep):
    count: int

    @property
    def sentence(self) -> str:
        return f"wait until {_instances(self.count)} of {self.fleet} are in service"

    @property
    def waits(self) -> bool:
        return True


@value()
class Preview(FleetStep):
    @property
    def sentence(self) -> str:
        return f"open {self.fleet} to requests with the preview header, which starts its health checks"


@value()
class AwaitHealthy(FleetStep):
    count: int
    steady_seconds: float

    @property
    def sentence(self) -> str:
        steady = f" and stay so for {self.steady_seconds:g} s" if self.steady_seconds else ""
        return f"wait until {_instances(self.count)} of {self.fleet} are healthy{steady}"

    @property
    def waits(self) -> bool:
        return True


@value()
class Smoke(FleetStep):
    @property
    def sentence(self) -> str:
        return f"try {self.fleet} with the gates that need no share: probes and commands"

    @property
    def waits(self) -> bool:
        return True


@value()
class BeforeTraffic(FleetStep):
    @property
    def sentence(self) -> str:
        return f"run the hook before_traffic, once for {self.fleet}"


@value()
class ResizeFleet(FleetStep):
    size: int

    @property
    def sentence(self) -> str:
        return f"bring {self.fleet} to {_instances(self.size)}"


@value()
class PinFleet(FleetStep):
    @property
    def sentence(self) -> str:
        return f"pin the capacity of {self.fleet}, so that it cannot shrink while it loses traffic"


@value()
class UnpinFleet(FleetStep):
    @property
    def sentence(self) -> str:
        return f"give {self.fleet} back its own scaling settings"


@value()
class ShiftTraffic(Step):
    """Sets the weights. Fleets of ours that are not named leave the action. `fleet` is the one that this is done for, `because` a
    reason that the schedule does not tell, `frees` for how many seconds clients were kept on their target group until now.
    """

    split: Split
    fleet: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, compare=False)
    because: str = field(default="", compare=False)
    frees: int = field(default=0, compare=False)

    @property
    def sentence(self) -> str:
        if self.fleet and self.fleet not in self.split.weights:
            return f"take {self._label(self.fleet)} out of the listener"
        percents = {name: self.split.percent(name) for name in self.split.serving}
        shares = [f"{format_percent(percent)} % to {self._label(name)}" for name, percent in percents.items()]
        because = f", since {self.because}" if self.because else ""
        free = (
            f"; clients with a cookie come along (stickiness of {self.frees} s is off until the end)"
            if self.frees
            else ""
        )
        return f"shift traffic: {', '.join(shares)}{because}{free}"

    def _label(self, name: str) -> str:
        return f"{self.labels[name]} ({name})" if name in self.labels else name


@value()
class Hold(FleetStep):
    """`gates` are those that judge it, by name; none named means all."""

    percent: Fraction
    until: datetime | None
    seconds: float
    gates: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        return f"hold at {format_percent(self.percent)} % for {self.seconds:g} s"

    @property
    def waits(self) -> bool:
        return True


@value()
class Pause(FleetStep):
    """`manual` says that the schedule wants it, and nobody had to ask for it."""

    percent: Fraction
    manual: bool = False
    gates: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        return f"stay at {format_percent(self.percent)} % until somebody says: shipit promote, or shipit abort"

    @property
    def waits(self) -> bool:
        return True


@value()
class Settle(FleetStep):
    until: datetime | None
    seconds: float

    @property
    def sentence(self) -> str:
        return f"let the balancer settle for {self.seconds:g} s before {self.fleet} is touched"

    @property
    def waits(self) -> bool:
        return True


@value()
class ClosePreview(FleetStep):
    @property
    def sentence(self) -> str:
        return f"close the preview of {self.fleet}"


@value()
class KeepClients(FleetStep):
    """`aside` are the fleets that are ready for a rollback. They wait outside the action: in it, old cookies would lead there."""

    seconds: int
    aside: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        aside = (
            f"; {' and '.join(self.aside)} wait{'s' * (len(self.aside) == 1)} behind a rule of its own"
            if self.aside
            else ""
        )
        return f"keep clients on their target group for {self.seconds} s again, as before{aside}"


@value()
class LeaveAside(FleetStep):
    @property
    def sentence(self) -> str:
        return f"remove the rule behind which {self.fleet} waited"


@value()
class MarkServing(FleetStep):
    @property
    def sentence(self) -> str:
        return f"mark {self.fleet} as one that has served everybody"


@value()
class ParkFleet(FleetStep):
    until: datetime
    floor: int
    minutes: float
    way_back: bool = True

    @property
    def sentence(self) -> str:
        after = f"then it shrinks to {self.floor} by itself"
        if not self.minutes:
            return f"put {self.fleet} back to sleep at {_instances(self.floor)}"
        purpose = "ready for a rollback" if self.way_back else "to be looked at"
        return f"park {self.fleet} at full size for {self.minutes:g} minutes, {purpose}; {after}"


@value()
class UnparkFleet(FleetStep):
    @property
    def sentence(self) -> str:
        return f"cancel the retirement of {self.fleet}"


@value()
class KeepFleet(FleetStep):
    until: datetime
    minutes: float

    @property
    def sentence(self) -> str:
        return f"keep {self.fleet} as it is for {self.minutes:g} minutes, to be looked at"


@value()
class DrainFleet(FleetStep):
    @property
    def sentence(self) -> str:
        return f"drain {self.fleet}: no instance is ended before its requests are answered"


@value()
class AwaitEmpty(FleetStep):
    @property
    def sentence(self) -> str:
        return f"wait until {self.fleet} has no instance left"

    @property
    def waits(self) -> bool:
        return True


@value()
class DeleteFleet(FleetStep):
    at_once: bool = False

    @property
    def sentence(self) -> str:
        return f"delete {self.fleet}: its group, target group and template"


PHASES: Mapping[str, str] = {
    "BakeImage": "bake",
    "LaunchFleet": "launch",
    "AwaitInstances": "boot",
    "Preview": "health",
    "AwaitHealthy": "health",
    "Smoke": "smoke",
    "BeforeTraffic": "hook",
    "ResizeFleet": "boot",
    "PinFleet": "shift",
    "ShiftTraffic": "shift",
    "Hold": "hold",
    "Pause": "hold",
}


def _instances(count: int) -> str:
    return f"{count} instance{'' if count == 1 else 's'}"
