"""Facts that a decision rests on, and the moves that it may order. Each move can be carried out twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shipit.sandbox.autoscaling.state import Subnet


@dataclass(frozen=True)
class Facts:
    """What was seen. An instance or target group that is missing here was not looked at: no decision may rest on it.

    `instances`: EC2 state by instance id, `terminated` for those EC2 does not know any more. `health`: target state by
    target group ARN and instance id. `missing_targets`: ARNs of target groups that do not exist.
    """

    now: datetime
    instances: Mapping[str, str] = field(default_factory=dict)
    health: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    missing_targets: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Launch:
    subnet: Subnet
    cause: str


@dataclass(frozen=True)
class Hold:
    """Keeps a member in `Pending:Wait` or `Terminating:Wait` for the hooks of the transition."""

    key: str
    transition: str


@dataclass(frozen=True)
class Proceed:
    """The hooks let a member go on."""

    key: str


@dataclass(frozen=True)
class Enter:
    """Registers a member with the target groups, then it is InService."""

    key: str
    arns: tuple[str, ...]
    exempt: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Register:
    """Adds a member that serves already to a target group attached later; `exempt` only notes that it is not added."""

    key: str
    arn: str
    exempt: bool = False


@dataclass(frozen=True)
class Deregister:
    key: str
    arns: frozenset[str]


@dataclass(frozen=True)
class MarkUnhealthy:
    key: str
    reason: str


@dataclass(frozen=True)
class Retire:
    """Takes a member out of service. `failure` ends its launch activity, if that still runs."""

    key: str
    cause: str
    replaced: bool = False
    failure: str = ""


@dataclass(frozen=True)
class Terminate:
    key: str


@dataclass(frozen=True)
class Forget:
    """EC2 says that the instance is terminated."""

    key: str


@dataclass(frozen=True)
class Reattach:
    """A target group's attachment reached a new state; None when it is gone."""

    arn: str
    state: str | None


@dataclass(frozen=True)
class Remove:
    """The deletion of the group is done."""


TargetMove = Enter | Register | Deregister
MemberMove = Hold | Proceed | MarkUnhealthy | Terminate | Forget | TargetMove
Move = Launch | Retire | Reattach | Remove | MemberMove
