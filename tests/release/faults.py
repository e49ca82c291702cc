"""A cloud that fails at a chosen call, before or after it took effect, or under which the process dies; and what users
must never see meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from shipit.errors import CloudError
from shipit.model import TargetState
from shipit.release.engine import Engine
from shipit.release.outcome import Ports
from tests.fakes.cloud import FakeCloud, FleetsView, TrafficView
from tests.release.stories import Company


class Killed(BaseException):
    """The process is gone: nothing after it runs."""


@dataclass(frozen=True)
class Fault:
    """What happens at call `number`: an error that AWS reports, or the death of the process; before or after the effect."""

    number: int
    after_effect: bool
    kills: bool

    def strike(self) -> None:
        raise Killed if self.kills else CloudError("AWS refused", "InternalFailure: try later", code="InternalFailure")


@dataclass
class Calls:
    """Counts the calls through all ports; one of them fails. After each, users are looked after."""

    fault: Fault | None = None
    after_each: Callable[[], None] = lambda: None
    made: list[str] = field(default_factory=list)

    def call(self, name: str, method: Callable[..., Any], *args: Any, **named: Any) -> Any:
        number = len(self.made)
        self.made.append(name)
        due = self.fault if self.fault and self.fault.number == number else None
        if due and not due.after_effect:
            due.strike()
        answer = method(*args, **named)
        self.after_each()
        if due:
            due.strike()
        return answer


@dataclass
class Through:
    """A port, every call of which is counted."""

    port: Any
    calls: Calls

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.port, name)
        return lambda *args, **named: self.calls.call(name, method, *args, **named)


@dataclass
class TroubledCompany(Company):
    """A company whose AWS fails once, at `calls.fault`, and that watches over its users."""

    calls: Calls = field(default_factory=Calls)
    complaints: list[str] = field(default_factory=list)
    _served: bool = False

    def __post_init__(self) -> None:
        self.calls.after_each = self.look_after_users
        self.cloud.clock.on_sleep.append(self.look_after_users)

    def engine(self) -> Engine:
        fleets = cast(Any, Through(FleetsView(self.cloud), self.calls))
        traffic = cast(Any, Through(TrafficView(self.cloud), self.calls))
        baker = cast(Any, Through(self.cloud, self.calls))
        ports = Ports(fleets, traffic, baker, self.cloud.clock, self.control)
        return Engine(ports, self.policy, self.events.append)

    def look_after_users(self) -> None:
        """Every fleet with a share has a healthy target, and once somebody serves, somebody always does."""
        cloud = self.cloud
        shares = {name: weight for name, weight in cloud.weights.items() if weight > 0}
        self._served = self._served or bool(shares)
        if self._served and not shares:
            self.complaints.append(f"nobody serves: {cloud.weights}")
        for name in shares:
            if name not in cloud.groups or not healthy(cloud, name):
                self.complaints.append(f"{name} has a share and nobody healthy")


def healthy(cloud: FakeCloud, name: str) -> int:
    group = cloud.groups[name]
    return sum(1 for machine in group.machines if cloud._health(group, machine) is TargetState.HEALTHY)


def picture(cloud: FakeCloud) -> dict[str, Any]:
    """All that `failed_clean` promises to leave as it was."""
    fleets = {
        name: (g.min_size, g.max_size, g.desired, g.pin, g.exposure, g.parked_until, g.leaving)
        for name, g in cloud.groups.items()
    }
    weights, sticky = {n: w for n, w in cloud.weights.items() if w}, (cloud.sticky_seconds, cloud.kept_sticky_seconds)
    return {"weights": weights, "fleets": fleets, "preview": cloud.preview, "aside": set(cloud.aside), "sticky": sticky}
