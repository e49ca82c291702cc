"""The official fakes of what Auto Scaling asks for, and a group of them that a test drives by hand."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shipit.sandbox.autoscaling import AutoScaling
from shipit.sandbox.autoscaling.seams import InvalidTemplate, LaunchError, LaunchRequest, TemplateFacts, TemplateRef

ZONES = {"subnet-a": "eu-west-1a", "subnet-b": "eu-west-1b", "subnet-c": "eu-west-1c"}
SUBNETS = ",".join(ZONES)


@dataclass
class FakeClock:
    at: datetime = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def pass_seconds(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class FakeEc2:
    """Instances run at once, unless `boots` is False; `refusals` are raised by launches, by subnet id or `*`."""

    states: dict[str, str] = field(default_factory=dict)
    requests: dict[str, LaunchRequest] = field(default_factory=dict)
    refusals: dict[str, Exception] = field(default_factory=dict)
    templates: set[str] = field(default_factory=lambda: {"lt-1", "web"})
    version: int = 1
    boots: bool = True
    _numbers: Any = field(default_factory=itertools.count)

    def resolve(self, template: TemplateRef) -> TemplateFacts:
        if (template.id or template.name) not in self.templates:
            raise InvalidTemplate(f"The specified launch template, with template ID {template.id}, does not exist.")
        number = int(template.version) if template.version.isdigit() else self.version
        return TemplateFacts("lt-1", "web", number, "ami-1")

    def launch(self, request: LaunchRequest) -> str:
        refusal = self.refusals.get("*") or self.refusals.get(request.subnet_id)
        if refusal:
            raise refusal
        instance_id = f"i-{next(self._numbers):017x}"
        self.requests[instance_id] = request
        self.states[instance_id] = "running" if self.boots else "pending"
        return instance_id

    def terminate(self, instance_id: str) -> None:
        self.states[instance_id] = "terminated"

    def state(self, instance_id: str) -> str | None:
        return self.states.get(instance_id)

    def subnet_zone(self, subnet_id: str) -> str | None:
        return ZONES.get(subnet_id)

    def default_subnet(self, zone: str) -> str | None:
        return next((subnet for subnet, its_zone in ZONES.items() if its_zone == zone), None)


@dataclass
class FakeTargetGroups:
    """Targets are `healthy` at once; deregistered ones drain until `drained` is called."""

    states: dict[str, dict[str, str]] = field(default_factory=lambda: {"tg-1": {}, "tg-2": {}})
    first_state: str = "healthy"

    def exists(self, arn: str) -> bool:
        return arn in self.states

    def register(self, arn: str, instance_id: str) -> None:
        self.states[arn][instance_id] = self.first_state

    def deregister(self, arn: str, instance_id: str) -> None:
        if instance_id in self.states.get(arn, {}):
            self.states[arn][instance_id] = "draining"

    def health(self, arn: str) -> Mapping[str, str]:
        return self.states.get(arn, {})

    def drained(self) -> None:
        for states in self.states.values():
            for one in [one for one, state in states.items() if state == "draining"]:
                del states[one]


NO_CAPACITY = LaunchError(
    "InsufficientInstanceCapacity",
    "We currently do not have sufficient t3.micro capacity in the Availability Zone you requested (eu-west-1a)",
)


@dataclass
class Scaling:
    """The service on fakes, and the boto3 client that talks to it."""

    client: Any
    service: AutoScaling
    ec2: FakeEc2
    targets: FakeTargetGroups
    clock: FakeClock

    def settle(self, ticks: int = 8) -> None:
        for _ in range(ticks):
            self.service.tick()

    def create(self, name: str = "web-1", *, size: int = 2, **changes: Any) -> None:
        asked: dict[str, Any] = {
            "AutoScalingGroupName": name,
            "MinSize": 0,
            "MaxSize": max(size, 4),
            "DesiredCapacity": size,
            "LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "1"},
            "VPCZoneIdentifier": SUBNETS,
            "TargetGroupARNs": ["tg-1"],
            **changes,
        }
        self.client.create_auto_scaling_group(**{key: value for key, value in asked.items() if value is not None})

    def created(self, name: str = "web-1", *, size: int = 2, **changes: Any) -> list[str]:
        """Creates a group, lets it settle, and returns the ids of its instances."""
        self.create(name, size=size, **changes)
        self.settle()
        return self.ids(name)

    def group(self, name: str = "web-1") -> dict[str, Any]:
        found: list[dict[str, Any]] = self.client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])[
            "AutoScalingGroups"
        ]
        return found[0] if found else {}

    def instances(self, name: str = "web-1") -> dict[str, dict[str, Any]]:
        return {one["InstanceId"]: one for one in self.group(name)["Instances"]}

    def ids(self, name: str = "web-1") -> list[str]:
        return list(self.instances(name))

    def lifecycle(self, name: str = "web-1") -> list[str]:
        return [one["LifecycleState"] for one in self.instances(name).values()]

    def activities(self, name: str = "web-1") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.describe_scaling_activities(
            AutoScalingGroupName=name, IncludeDeletedGroups=True
        )["Activities"]
        return found
