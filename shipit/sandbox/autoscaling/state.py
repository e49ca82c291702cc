"""What Auto Scaling knows: groups and all that belongs to them, as values. `world.World` holds the current ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from shipit.sandbox.autoscaling.seams import TemplateFacts

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
CONTINUE = "CONTINUE"
ABANDON = "ABANDON"


@dataclass(frozen=True)
class Sizes:
    min: int
    max: int
    desired: int


@dataclass(frozen=True)
class Subnet:
    id: str
    zone: str


@dataclass(frozen=True)
class Tag:
    key: str
    value: str
    propagate: bool = False


@dataclass(frozen=True)
class Hook:
    """A lifecycle hook. `settings` keeps what is only stored: target, role, metadata."""

    name: str
    transition: str
    timeout_seconds: int = 3600
    default_result: str = ABANDON
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def global_timeout_seconds(self) -> int:
        return min(48 * 3600, 100 * self.timeout_seconds)


@dataclass(frozen=True)
class Wait:
    """One hook that a member is held for. `ends` is the cap that heartbeats cannot move."""

    hook: Hook
    token: str
    deadline: datetime
    ends: datetime
    result: str | None = None

    def result_at(self, now: datetime) -> str | None:
        return self.result or (self.hook.default_result if now >= min(self.deadline, self.ends) else None)


@dataclass(frozen=True)
class Attachment:
    """A target group of a group. `family` says which API attached it, `state` is a LoadBalancerTargetGroupState."""

    arn: str
    family: str = "target-group"
    state: str = "Adding"


@dataclass(frozen=True)
class Member:
    """An instance of a group, from the decision to launch it on; `instance_id` is None until EC2 answered.

    `waits` is None until hooks of the present transition were asked. `exempt` names target groups that it was not added
    to because AddToLoadBalancer was suspended: AWS does not make up for it. `ended` is when EC2 was asked to end it.
    """

    key: str
    subnet: Subnet
    started: datetime
    activity_id: str
    instance_id: str | None = None
    template: TemplateFacts | None = None
    state: str = "Pending"
    health: str = "Healthy"
    unhealthy_cause: str = ""
    in_service_since: datetime | None = None
    protected: bool = False
    registered: frozenset[str] = frozenset()
    exempt: frozenset[str] = frozenset()
    draining: frozenset[str] = frozenset()
    waits: tuple[Wait, ...] | None = None
    ended: datetime | None = None

    @property
    def leaving(self) -> bool:
        return self.state.startswith("Terminat")


@dataclass(frozen=True)
class ScheduledAction:
    """Sizes to set at `next_run`: once, or on `recurrence` (cron) until `end`."""

    name: str
    arn: str
    next_run: datetime
    start: datetime | None = None
    end: datetime | None = None
    recurrence: str | None = None
    time_zone: str | None = None
    min: int | None = None
    max: int | None = None
    desired: int | None = None


@dataclass(frozen=True)
class Retry:
    """Launches failed `failures` times in a row; none is tried before `until`, and `subnets` are tried last."""

    failures: int = 0
    until: datetime | None = None
    subnets: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Group:
    """An Auto Scaling group. `settings` are parameters of CreateAutoScalingGroup that are stored and returned as sent.

    `change` words the last change of capacity until it was carried out; `replacing` counts unhealthy members that were
    taken out and not replaced yet. `forced` is a deletion that does not wait for hooks and draining.
    """

    name: str
    arn: str
    created: datetime
    sizes: Sizes
    subnets: tuple[Subnet, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[Member, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    tags: tuple[Tag, ...] = ()
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    schedules: Mapping[str, ScheduledAction] = field(default_factory=dict)
    policies: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notifications: Mapping[str, Sequence[str]] = field(default_factory=dict)
    suspended: Mapping[str, str] = field(default_factory=dict)
    metrics: frozenset[str] = frozenset()
    retry: Retry = Retry()
    change: str = ""
    replacing: int = 0
    deleting: bool = False
    forced: bool = False

    def member(self, key: str) -> Member | None:
        return next((member for member in self.members if member.key == key), None)

    def with_member(self, member: Member) -> Group:
        return replace(self, members=tuple(member if old.key == member.key else old for old in self.members))

    def without_member(self, key: str) -> Group:
        return replace(self, members=tuple(member for member in self.members if member.key != key))

    def with_attachment(self, attachment: Attachment) -> Group:
        return replace(self, attachments=tuple(attachment if a.arn == attachment.arn else a for a in self.attachments))

    def hooks_at(self, transition: str) -> list[Hook]:
        return [hook for hook in self.hooks.values() if hook.transition == transition]

    def runs(self, process: str) -> bool:
        """Whether a scaling process is not suspended."""
        return process not in self.suspended

    @property
    def checks_elb(self) -> bool:
        return "ELB" in str(self.settings.get("HealthCheckType", "EC2")).split(",")

    @property
    def grace_seconds(self) -> int:
        return int(self.settings.get("HealthCheckGracePeriod", 0))
