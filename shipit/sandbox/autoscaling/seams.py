"""What Auto Scaling asks of the rest of the sandbox: instances, target groups, and the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class TemplateRef:
    """A launch template as a caller names it: by id or by name; `version` is a number, `$Latest` or `$Default`."""

    id: str | None
    name: str | None
    version: str = "$Default"


@dataclass(frozen=True)
class TemplateFacts:
    """A launch template version that exists. `version_number` is never symbolic."""

    id: str
    name: str
    version_number: int
    image_id: str = ""
    instance_type: str = "t3.micro"
    user_data: str = ""


@dataclass(frozen=True)
class LaunchRequest:
    """One instance to start. `tags` are the group's propagated ones and win over the template's of the same key.

    `template.version` is a number. `instance_type` overrides the template's (mixed instances policy).
    """

    group_name: str
    template: TemplateRef
    subnet_id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    instance_type: str | None = None


class Ec2(Protocol):
    """Instances, subnets and launch templates. Called from several threads at once."""

    def resolve(self, template: TemplateRef) -> TemplateFacts:
        """Raises `InvalidTemplate` when the template, its version, or what it names does not exist."""

    def launch(self, request: LaunchRequest) -> str:
        """Starts an instance and returns its id, perhaps before it is `running`. Raises `LaunchError`. May block."""

    def terminate(self, instance_id: str) -> None:
        """Asks for the end of an instance; unknown and terminated ones are fine. May block."""

    def state(self, instance_id: str) -> str | None:
        """`pending`, `running`, `stopping`, `stopped`, `shutting-down`, `terminated`; None when it is unknown."""

    def subnet_zone(self, subnet_id: str) -> str | None:
        """The availability zone of a subnet, None when there is no such subnet."""

    def default_subnet(self, zone: str) -> str | None:
        """The subnet to use when a group names only a zone; None when the zone has none."""


class TargetGroups(Protocol):
    """The target groups that a group may register its instances with. Unknown ARNs never raise."""

    def exists(self, arn: str) -> bool: ...

    def register(self, arn: str, instance_id: str) -> None: ...

    def deregister(self, arn: str, instance_id: str) -> None:
        """Starts draining. From its return on, `health` says `draining`, and nothing once draining is over."""

    def health(self, arn: str) -> Mapping[str, str]:
        """State by instance id, as DescribeTargetHealth names them; empty for an unknown group."""


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware, UTC."""


class LaunchError(Exception):
    """EC2 refused a launch. `message` becomes the StatusMessage of the activity (field note B4)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class InvalidTemplate(Exception):
    """The launch template cannot be used; the text is AWS's second sentence, "The specified launch template, ..."."""
