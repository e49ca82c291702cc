"""Between moto's load balancers and the balancer that serves: who is registered, and what moto's state means for it.

moto keeps load balancers, listeners, rules and target groups; targets and their health live in the balancer only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moto.elbv2.exceptions import ELBClientError
from moto.elbv2.models import FakeAction, elbv2_backends

from shipit.sandbox.elbv2_actions import KnownGroup, group_arns, normal, normal_condition
from shipit.sandbox.elbv2_groups import complete, health_check, sticky_seconds
from shipit.sandbox.seams import Balancer, Group, Listener, Rule, Target, TargetHealth

# Listeners serve in this order, so that the first one gets the first of the ports that the user asked for.
_LAST = 10**6


@dataclass(frozen=True)
class Endpoint:
    """What load balancing must know of an instance. `running` is False in every other state."""

    address: str
    zone: str
    vpc_id: str
    running: bool = True


# Looks an instance up by id. It is called with our lock held: it must not wait for anything that calls us.
Instances = Callable[[str], Endpoint | None]


class LoadBalancing:
    """What the rest of the sandbox uses: registration, health, and `sync` after anything in moto's ELBv2 changed.

    `lock` is reentrant and held over every ELBv2 call; `fast` allows health checks more often than AWS does.
    """

    def __init__(self, balancer: Balancer, instances: Instances, *, fast: bool = False) -> None:
        self.balancer = balancer
        self.fast = fast
        self.lock = threading.RLock()
        self._instances = instances
        self._synced: frozenset[str] = frozenset()

    def register(self, group_arn: str, instance_id: str, port: int | None = None) -> None:
        """Registers an instance that runs. Raises `InvalidTarget` or `TargetGroupNotFound` (`ELBClientError`)."""
        with self.lock:
            self.register_all(group_arn, [{"Id": instance_id, "Port": port}])

    def register_all(self, group_arn: str, targets: Sequence[Mapping[str, Any]]) -> None:
        """Registers all of them, or none when one cannot be."""
        with self.lock:
            group = self._served(group_arn)
            for target in [self._new_target(group, wanted) for wanted in targets]:
                self.balancer.register(group_arn, target)

    def deregister(self, group_arn: str, instance_id: str) -> None:
        """Starts draining. Unknown ids are fine; an unknown group raises `TargetGroupNotFound`."""
        with self.lock:
            self._served(group_arn)
            self.balancer.deregister(group_arn, instance_id)

    def health(self, group_arn: str) -> Sequence[TargetHealth]:
        """Every target of the group, the draining ones included."""
        return self.balancer.health(group_arn)

    def instance_changed(self, instance_id: str) -> None:
        """To be called when an instance started, stopped or is no more (then it is deregistered everywhere)."""
        with self.lock:
            for group in _groups():
                for health in self.balancer.health(group.arn):
                    if health.target.id == instance_id:
                        self._refresh(group, health.target)

    def sync(self) -> None:
        """Makes the balancer follow moto's state. Returns when new requests do. Cheap when nothing changed."""
        with self.lock:
            tidy()
            groups = _served_groups()
            self.balancer.set_groups([self._seam_group(group) for group in groups])
            self.balancer.set_listeners([_seam_listener(listener) for listener in _listeners()])
            self._synced = frozenset(group.arn for group in groups)
            for group in groups:
                for health in self.balancer.health(group.arn):
                    self._refresh(group, health.target)

    def group(self, arn: str) -> Any:
        """moto's target group; raises `TargetGroupNotFound`."""
        for group in _groups():
            if group.arn == arn:
                return group
        raise ELBClientError("TargetGroupNotFound", "One or more target groups not found")

    def _served(self, arn: str) -> Any:
        """The group, known to the balancer too: CloudFormation makes groups without telling us."""
        group = self.group(arn)
        if arn not in self._synced:
            self.sync()
        return group

    def known_group(self, arn: str) -> KnownGroup | None:
        """What the validation of actions asks of a target group."""
        for group in _groups():
            if group.arn == arn:
                sticky = sticky_seconds(group.attributes) is not None
                return KnownGroup(frozenset(group.load_balancer_arns), group.protocol or "", sticky)
        return None

    def _new_target(self, group: Any, wanted: Mapping[str, Any]) -> Target:
        name, port = wanted["Id"], int(wanted.get("Port") or group.port)
        if group.target_type == "ip":
            return Target(name, name, port)
        found = self._instances(name)
        if found is None:
            raise ELBClientError("InvalidTarget", f"The instance IDs '{name}' are not valid")
        if not found.running:
            text = f"The following targets are not in a running state and cannot be registered: '{name}'"
            raise ELBClientError("InvalidTarget", text)
        if found.vpc_id != group.vpc_id:
            text = f"The following targets are not in the target group VPC '{group.vpc_id}': '{name}'"
            raise ELBClientError("InvalidTarget", text)
        return Target(name, found.address, port, zone_enabled=_zone_enabled(group, found.zone))

    def _refresh(self, group: Any, target: Target) -> None:
        if group.target_type == "ip":
            return
        found = self._instances(target.id)
        if found is None:
            self.balancer.update_target(group.arn, Target(target.id, target.address, target.port, runs=False))
            self.balancer.deregister(group.arn, target.id)
            return
        enabled = _zone_enabled(group, found.zone)
        now = Target(target.id, found.address or target.address, target.port, enabled, found.running)
        if now != target:
            self.balancer.update_target(group.arn, now)

    def _seam_group(self, group: Any) -> Group:
        return Group(
            arn=group.arn,
            check=health_check(group, fast=self.fast),
            drain_seconds=float(group.attributes["deregistration_delay.timeout_seconds"]),
            referenced=bool(group.load_balancer_arns),
            stickiness_seconds=sticky_seconds(group.attributes),
        )


def tidy() -> None:
    """Gives moto's objects the shapes of AWS, also those that CloudFormation made behind our back.

    Forwards by TargetGroupArn get their ForwardConfig (J9), secrets go (J11), LoadBalancerArns follow actions (J16),
    listeners and their default rules agree (J10).
    """
    named: dict[str, list[str]] = {}
    for listener in _listeners():
        listener.default_actions = [FakeAction(normal(action.data)) for action in listener.default_actions]
        listener._default_rule[0].actions = listener.default_actions
        for rule in listener.rules.values():
            rule.actions = [FakeAction(normal(action.data)) for action in rule.actions]
            rule.conditions = [normal_condition(condition) for condition in rule.conditions]
            for arn in group_arns([action.data for action in rule.actions]):
                named.setdefault(arn, []).append(listener.load_balancer_arn)
    for group in _groups():
        group.load_balancer_arns = list(dict.fromkeys(named.get(group.arn, [])))
        complete(group.attributes)


def in_order(rules: Sequence[Any]) -> list[Any]:
    """Rules as they are evaluated: by priority, the default rule last. moto has them by age."""
    return sorted(rules, key=lambda rule: _LAST if rule.priority == "default" else int(rule.priority))


def _seam_listener(listener: Any) -> Listener:
    rules = in_order(list(listener.rules.values()))
    return Listener(
        listener.arn,
        int(listener.port),
        [Rule(rule.arn, rule.conditions, [action.data for action in rule.actions]) for rule in rules],
    )


def _zone_enabled(group: Any, zone: str) -> bool:
    """Whether a load balancer that uses the group has the zone; with no load balancer nothing is missing yet."""
    users = [lb for lb in _load_balancers() if lb.arn in group.load_balancer_arns]
    return not users or any(subnet.availability_zone == zone for lb in users for subnet in lb.subnets)


def _backends() -> Iterator[Any]:
    for account in list(elbv2_backends.values()):
        yield from list(account.values())


def _load_balancers() -> Iterator[Any]:
    for backend in _backends():
        yield from list(backend.load_balancers.values())


def _listeners() -> Iterator[Any]:
    for load_balancer in _load_balancers():
        yield from list(load_balancer.listeners.values())


def _groups() -> Iterator[Any]:
    for backend in _backends():
        yield from list(backend.target_groups.values())


def _served_groups() -> list[Any]:
    """Those that an Application Load Balancer can use."""
    return [group for group in _groups() if group.protocol in ("HTTP", "HTTPS")]
