"""The seams inside the sandbox: what the control plane asks of machines, of the balancer, and of the clock.

The control plane (moto and our corrections) knows AWS's words; machines know processes and namespaces; the balancer knows
HAProxy. They meet only here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Boot:
    """What a machine needs in order to start.

    `image_id` names an image made by `Machines.snapshot`; any other id is the base system. `authorized_key` is the public
    key line that SSH accepts, or None for no SSH login. `user_data` is the decoded text, run as root at first boot, once.
    """

    instance_id: str
    address: str
    hostname: str
    image_id: str
    user_data: str = ""
    authorized_key: str | None = None


class Machines(Protocol):
    """Instances as real processes in namespaces of their own."""

    def boot(self, boot: Boot) -> None:
        """Starts a new machine on a fresh disk; returns when its init runs. Raises `MachineError`."""

    def start(self, instance_id: str) -> None:
        """Boots a stopped machine again, on the disk that it has."""

    def stop(self, instance_id: str, *, grace_seconds: float) -> None:
        """Ends all its processes: SIGTERM to the units, SIGKILL after the grace. Keeps the disk. Blocks until it is down."""

    def crash(self, instance_id: str) -> None:
        """Kills it as a loss of power would; `on_exit` tells. Unknown ids are fine."""

    def destroy(self, instance_id: str) -> None:
        """Ends it (if it still runs) and drops its disk. Unknown ids are fine."""

    def is_running(self, instance_id: str) -> bool: ...

    def on_exit(self, callback: Callable[[str], None]) -> None:
        """Registers who is told the id of a machine that went down without having been asked to."""

    def console(self, instance_id: str) -> str:
        """All that boot, user data and units printed so far; kept until `forget`, also after `destroy`."""

    def snapshot(self, instance_id: str, image_id: str) -> None:
        """Keeps the machine's disk as an image: its own image's layers plus what it wrote since."""

    def drop_image(self, image_id: str) -> None:
        """Forgets an image; layers that other images or machines build on are kept."""

    def close(self) -> None:
        """Ends every machine and leaves no process, mount, namespace or file."""


@dataclass(frozen=True)
class HealthCheck:
    """A target group's health check (ELBv2 CreateTargetGroup). `matcher` is `200`, `200,202` or `200-299`."""

    path: str = "/"
    port: int | None = None
    interval_seconds: float = 30.0
    timeout_seconds: float = 5.0
    healthy_threshold: int = 5
    unhealthy_threshold: int = 2
    matcher: str = "200"


@dataclass(frozen=True)
class Group:
    """A target group as the balancer needs it. `referenced` is False while no listener or rule names it (field note A4)."""

    arn: str
    check: HealthCheck
    drain_seconds: float = 300.0
    referenced: bool = False
    stickiness_seconds: int | None = None


@dataclass(frozen=True)
class Target:
    """One registered instance: where it listens, and whether the load balancer has its zone enabled."""

    id: str
    address: str
    port: int
    zone_enabled: bool = True
    runs: bool = True


@dataclass(frozen=True)
class TargetHealth:
    """State, reason and description exactly as DescribeTargetHealth names them (field note A4)."""

    target: Target
    state: str
    reason: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class Rule:
    """One listener rule, conditions and actions in the shapes of DescribeRules. The default rule has no conditions."""

    arn: str
    conditions: Sequence[Mapping[str, object]]
    actions: Sequence[Mapping[str, object]]


@dataclass(frozen=True)
class Listener:
    """A listener and its rules, first match first; the last one is the default rule."""

    arn: str
    port: int
    rules: Sequence[Rule] = field(default_factory=tuple)


@dataclass(frozen=True)
class Names:
    """What the balancer's own names in its log stand for: listener ARN by frontend, target group ARN by backend."""

    listeners: Mapping[str, str]
    groups: Mapping[str, str]


class Balancer(Protocol):
    """The data plane: HAProxy, real health checks, draining."""

    @property
    def log_socket(self) -> Path:
        """HAProxy's runtime socket, whose ring `requests` gets a line for each request."""

    def names(self) -> Names: ...

    def set_listeners(self, listeners: Sequence[Listener]) -> None:
        """Makes these the routing tables, atomically, without a reload; returns when requests follow them."""

    def set_groups(self, groups: Sequence[Group]) -> None:
        """Makes these the target groups. Health checks run for those that are referenced; a changed check takes effect at once."""

    def register(self, group_arn: str, target: Target) -> None:
        """Adds a target, or revives one that is draining. Registering it again with the same port changes nothing."""

    def deregister(self, group_arn: str, target_id: str) -> None:
        """Starts draining; after the group's delay connections still open are cut and the target is forgotten."""

    def update_target(self, group_arn: str, target: Target) -> None:
        """Tells that the instance stopped or started, or that its zone was switched."""

    def health(self, group_arn: str) -> Sequence[TargetHealth]:
        """Every target of the group, the draining ones included."""

    def front_door(self, listener_arn: str) -> str | None:
        """URL of the listener on loopback, `http://127.0.0.1:PORT`."""

    def meddle(self, fails: Callable[[str], bool]) -> None:
        """From now on a health check of a group fails when this says so of its ARN, whatever the target answers."""

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """By target group: requests and answers by class (`requests`, `2xx`, `3xx`, `4xx`, `5xx`, `connection_errors`)."""

    def close(self) -> None: ...


class MachineError(Exception):
    """A machine could not be started, stopped or kept; the text says why."""
