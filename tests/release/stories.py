"""Words for the tests of the release logic: a small company with one app on the fake cloud."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

from shipit.model import Observed, Version
from shipit.release.engine import Engine
from shipit.release.goal import Goal, release_goal, rollback_goal, rollback_targets, serving_goal
from shipit.release.outcome import Outcome, Ports
from shipit.release.plan import Plan
from shipit.release.policy import Policy
from shipit.schedule import parse_schedule
from tests.fakes.cloud import FakeCloud, FleetsView, TrafficView
from tests.fakes.control import FakeControl

DIGEST = "d1"


@dataclass
class Company:
    """Releases and rolls back on a fake cloud, and remembers what happened."""

    cloud: FakeCloud = field(default_factory=FakeCloud)
    policy: Policy = field(default_factory=Policy)
    events: list[Any] = field(default_factory=list)
    control: FakeControl = field(default_factory=FakeControl)
    _names: int = 0

    def engine(self) -> Engine:
        fleets, traffic = cast(Any, FleetsView(self.cloud)), cast(Any, TrafficView(self.cloud))
        ports = Ports(fleets, traffic, self.cloud, self.cloud.clock, self.control)
        return Engine(ports, self.policy, self.events.append)

    def look(self) -> Observed:
        return self.engine().look(all_health=True)

    def goal(self, name: str, schedule: str = "100%", *, staged: bool = False) -> Goal:
        self._names += 1
        version = Version(name, f"{abs(hash(name)):x}"[:8].rjust(40, "0"))
        goal = release_goal(version, self.cloud.find(version), DIGEST, self.look(), f"fleet-{self._names}-{name}")
        return replace(goal, stages=parse_schedule(schedule), staged=staged)

    def run(self, goal: Goal, *, patient: bool = False) -> Outcome:
        engine = self.engine()
        return engine.run(goal, engine.look(), patient=patient)

    def release(self, name: str, schedule: str = "100%") -> Outcome:
        return self.run(self.goal(name, schedule))

    def rollback(self, to: str | None = None) -> Outcome:
        self._names += 1
        observed = self.look()
        targets = rollback_targets(observed, self.cloud.images.values())
        return self.run(rollback_goal(observed, targets, to, DIGEST, f"fleet-{self._names}"))

    def retire(self) -> Outcome:
        return self.run(serving_goal(self.look(), retire_parked=True), patient=True)

    def plan(self, goal: Goal) -> Plan:
        return self.engine().plan(goal, self.look())

    def pass_time(self, seconds: float) -> None:
        self.cloud.clock.sleep(seconds)
        self.look()

    @property
    def serving(self) -> dict[str, float]:
        observed = self.look()
        return {observed.fleets[n].version.name: float(observed.split.percent(n)) for n in observed.split.serving}

    @property
    def versions(self) -> list[str]:
        return sorted(group.launch.version.name for group in self.cloud.groups.values())
