"""The official fakes beside the ports: a cloud in memory whose time passes only when somebody waits.

Instances come into service `boot_seconds` after their launch and turn healthy `health_seconds` after some rule names their
target group, as on AWS (field notes A4). Versions named in `sick` never turn healthy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from shipit.errors import BakeError, CloudError, Drifted, NotFound
from shipit.model import (
    Exposure,
    Fleet,
    Image,
    Instance,
    LaunchFailure,
    Pin,
    Route,
    Split,
    TargetState,
    Version,
)
from shipit.ports import Launch

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


class FakeClock:
    """Implements `ports.Clock`; sleeping moves the time and lets the cloud live."""

    def __init__(self) -> None:
        self.time = START
        self.on_sleep: list[Callable[[], None]] = []

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        for callback in self.on_sleep:
            callback()


@dataclass
class Machine:
    id: str
    launched: datetime
    leaving_since: datetime | None = None


@dataclass
class Group:
    """One fleet in the cloud."""

    launch: Launch
    min_size: int
    max_size: int
    desired: int
    created: datetime
    machines: list[Machine] = field(default_factory=list)
    exposure: Exposure = Exposure.NONE
    parked_until: datetime | None = None
    floor: int = 0
    pin: Pin | None = None
    leaving: bool = False
    kept_until: datetime | None = None
    associated_since: datetime | None = None


@dataclass
class FakeCloud:
    """Implements `ports.Fleets`, `ports.Traffic` and `ports.Baker` on one small world."""

    clock: FakeClock = field(default_factory=FakeClock)
    boot_seconds: float = 10
    health_seconds: float = 5
    drain_seconds: float = 30
    deletion_seconds: float = 0
    first_min: int = 1
    groups: dict[str, Group] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    foreign: dict[str, int] = field(default_factory=dict)
    preview: str | None = None
    aside: set[str] = field(default_factory=set)
    previewable: bool = True
    sticky_seconds: int = 0
    kept_sticky_seconds: int = 0
    images: dict[str, Image] = field(default_factory=dict)
    sick: set[str] = field(default_factory=set)
    broken_bakes: set[str] = field(default_factory=set)
    failures: dict[str, LaunchFailure] = field(default_factory=dict)
    fail_next: dict[str, CloudError] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    asked_to_delete: dict[str, datetime] = field(default_factory=dict)
    _count: int = 0

    # Fleets

    def observe_fleets(self, also: Sequence[str] = ()) -> Mapping[str, Fleet]:
        self._live()
        return {name: self._fleet(name, group) for name, group in self.groups.items()}

    def strays(self, older_than: datetime) -> Sequence[str]:
        return ()

    def with_health(self, fleet: Fleet) -> Fleet:
        group = self.groups.get(fleet.name)
        if group is None:
            return replace(fleet, whole=False)
        health = {m.id: self._health(group, m) for m in group.machines}
        joined = tuple(
            replace(i, target=health.get(i.id), reason=self._reason(health.get(i.id))) for i in fleet.instances
        )
        return replace(fleet, instances=joined, failure=self.failures.get(fleet.version.name))

    def launch(self, launch: Launch) -> None:
        self._write("launch", launch.name)
        if launch.name not in self.groups:
            pin = Pin(self.first_min)
            self.groups[launch.name] = Group(
                launch, launch.size, 2 * launch.size, launch.size, self.clock.now(), pin=pin
            )

    def resize(self, name: str, size: int) -> None:
        self._write("resize", name)
        group = self._group(name)
        group.desired, group.max_size = size, max(size, group.max_size)
        group.min_size = size if group.pin else min(group.min_size, size)

    def pin(self, name: str, pin: Pin) -> None:
        self._write("pin", name)
        group = self._group(name)
        group.pin = group.pin or replace(pin, min_size=group.min_size)
        group.min_size = group.desired

    def unpin(self, name: str) -> str:
        self._write("unpin", name)
        group = self._group(name)
        if group.pin:
            group.min_size, group.pin = min(group.pin.min_size, group.desired), None
        return ""

    def expose(self, name: str, exposure: Exposure) -> None:
        self._write("expose", name)
        self._group(name).exposure = exposure

    def park(self, name: str, until: datetime, floor: int) -> None:
        self._write("park", name)
        group = self._group(name)
        group.parked_until, group.floor = until, floor

    def unpark(self, name: str) -> None:
        self._write("unpark", name)
        self._group(name).parked_until = None

    def keep(self, name: str, until: datetime) -> None:
        self._write("keep", name)
        self._group(name).kept_until = until

    def drain(self, name: str) -> None:
        self._write("drain", name)
        group = self._group(name)
        group.leaving, group.min_size, group.desired = True, 0, 0

    def delete(self, name: str, *, at_once: bool) -> bool:
        self._write("delete", name)
        group = self.groups.get(name)
        if group is None:
            return True
        if (group.machines and not at_once) or name in self.weights or self._ruled(name):
            return False
        asked = self.asked_to_delete.setdefault(name, self.clock.now())
        if self.clock.now() - asked < timedelta(seconds=self.deletion_seconds):
            return False
        del self.groups[name]
        return True

    def last_words(self, instance_id: str) -> Sequence[str]:
        return self.console

    # Traffic

    def observe_route(self) -> Route:
        return Route(
            Split(dict(self.weights)),
            dict(self.foreign),
            not self.weights,
            self.preview,
            f"token of {self.preview}" if self.preview else "",
            frozenset(self.aside),
            self.previewable,
            self.sticky_seconds,
            self.kept_sticky_seconds,
        )

    def shift(self, split: Split, expected: Split) -> Route:
        shares = {name: weight for name, weight in self.weights.items() if weight}
        if shares not in ({n: w for n, w in wanted.weights.items() if w} for wanted in (expected, split)):
            raise Drifted("somebody else moved the traffic", f"found {shares}", "shipit status")
        self._write("shift", " ".join(f"{name}={weight}" for name, weight in split.weights.items()))
        self.set_weights(split)
        return self.observe_route()

    def set_weights(self, split: Split) -> None:
        """Clients are freed where shares move."""
        self.sticky_seconds = self.sticky_seconds if split.shares == Split(self.weights).shares else 0
        self.weights = dict(split.weights)

    def keep_aside(self, name: str) -> None:
        self._write("keep_aside", name)
        self.aside.add(name)

    def leave_aside(self, name: str) -> None:
        self._write("leave_aside", name)
        self.aside.discard(name)

    def keep_stickiness(self, seconds: int) -> None:
        self._write("keep_stickiness", str(seconds))
        self.kept_sticky_seconds = seconds

    def restore_stickiness(self, name: str) -> None:
        self._write("restore_stickiness", name)
        if Split(self.weights).percent(name) != 100:
            raise Drifted("somebody else moved the traffic", f"found {self.weights}", "shipit status")
        seconds = self.sticky_seconds or self.kept_sticky_seconds
        self.weights, self.sticky_seconds, self.kept_sticky_seconds = {name: 100}, seconds, 0

    def open_preview(self, name: str) -> None:
        self._write("preview", name)
        self.preview = name

    def close_preview(self) -> None:
        self._write("close_preview", "")
        self.preview = None

    # Baker

    def find(self, version: Version) -> Image | None:
        return next((image for image in self.images.values() if image.version.name == version.name), None)

    def bake(self, version: Version) -> Image:
        self._write("bake", version.name)
        if version.name in self.broken_bakes:
            raise BakeError(f"no image of {version.name}", "install.sh exited with 1", "shipit bake --verbose")
        self.clock.sleep(60)
        image = Image(f"ami-{len(self.images):08x}", version, f"f{len(self.images)}", created_at=self.clock.now())
        self.images[image.id] = image
        return image

    # The world

    def _group(self, name: str) -> Group:
        if name not in self.groups:
            raise NotFound(f"there is no group {name}", "ValidationError: AutoScalingGroup name not found")
        return self.groups[name]

    def _ruled(self, name: str) -> bool:
        return self.preview == name or name in self.aside

    def _write(self, what: str, about: str) -> None:
        self.writes.append(f"{what} {about}".strip())
        if what in self.fail_next:
            raise self.fail_next.pop(what)

    def _live(self) -> None:
        now = self.clock.now()
        for name, group in self.groups.items():
            if group.parked_until and group.parked_until <= now:
                group.min_size = group.desired = group.floor
            associated = name in self.weights or self._ruled(name)
            group.associated_since = (group.associated_since or now) if associated else None
            staying = [m for m in group.machines if m.leaving_since is None]
            for _ in range(group.desired - len(staying)):
                self._count += 1
                group.machines.append(Machine(f"i-{self._count:04x}", now))
            for machine in staying[group.desired :]:
                machine.leaving_since = now
            drained = now - timedelta(seconds=self.drain_seconds)
            group.machines = [m for m in group.machines if m.leaving_since is None or m.leaving_since > drained]

    def _fleet(self, name: str, group: Group) -> Fleet:
        launch = group.launch
        return Fleet(
            name,
            launch.version,
            launch.image_id,
            launch.digest,
            group.min_size,
            group.max_size,
            group.desired,
            tuple(Instance(m.id, self._lifecycle(m)) for m in group.machines),
            leaving=group.leaving,
            exposure=group.exposure,
            parked_until=group.parked_until,
            pin=group.pin,
            kept_until=group.kept_until,
            created_at=group.created,
        )

    def _lifecycle(self, machine: Machine) -> str:
        if machine.leaving_since:
            return "Terminating"
        booted = self.clock.now() - machine.launched >= timedelta(seconds=self.boot_seconds)
        return "InService" if booted else "Pending"

    def _health(self, group: Group, machine: Machine) -> TargetState | None:
        if self._lifecycle(machine) == "Pending":
            return None
        if machine.leaving_since:
            return TargetState.DRAINING
        if group.associated_since is None:
            return TargetState.UNUSED
        if group.launch.version.name in self.sick:
            return TargetState.UNHEALTHY
        up_since = max(machine.launched + timedelta(seconds=self.boot_seconds), group.associated_since)
        passed = self.clock.now() - up_since >= timedelta(seconds=self.health_seconds)
        return TargetState.HEALTHY if passed else TargetState.INITIAL

    def _reason(self, state: TargetState | None) -> str:
        return "Target.ResponseCodeMismatch" if state is TargetState.UNHEALTHY else ""


@dataclass
class FleetsView:
    """The cloud as `ports.Fleets`; the other half of `observe` belongs to `TrafficView`."""

    cloud: FakeCloud

    def __getattr__(self, name: str) -> object:
        return getattr(self.cloud, name)

    def observe(self, also: Sequence[str] = ()) -> Mapping[str, Fleet]:
        return self.cloud.observe_fleets(also)


@dataclass
class TrafficView:
    """The cloud as `ports.Traffic`."""

    cloud: FakeCloud

    def __getattr__(self, name: str) -> object:
        return getattr(self.cloud, name)

    def observe(self) -> Route:
        return self.cloud.observe_route()
