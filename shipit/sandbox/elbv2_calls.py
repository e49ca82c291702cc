"""ELBv2 as AWS does it, where moto does it otherwise (field note J), and with traffic that really flows.

Every call that changes something ends with `sync`: when it returns, new requests already follow.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from moto.core.responses import ActionResult, EmptyResult
from moto.elbv2.exceptions import ELBClientError, TooManyTagsError
from moto.elbv2.responses import ELBV2Response

from shipit.sandbox.elbv2_actions import Action, Setting, check_secrets, checked
from shipit.sandbox.elbv2_groups import check_attributes, check_settings, settings
from shipit.sandbox.load_balancing import LoadBalancing, in_order, tidy
from shipit.sandbox.seams import TargetHealth
from shipit.sandbox.unimplemented import CleanUnimplemented

MOST_TAGS = 50
CHECK_DEFAULTS = {"HealthCheckIntervalSeconds": 30, "HealthCheckTimeoutSeconds": 5}


class SandboxELBV2(CleanUnimplemented, ELBV2Response):  # type: ignore[misc]
    """moto's answers, corrected. One call at a time."""

    plane: ClassVar[LoadBalancing]

    def call_action(self) -> Any:
        """The call, with all that it reads and writes under one lock."""
        with self.plane.lock:
            tidy()
            answer = super().call_action()
            if not self._get_action().startswith("Describe"):
                self.plane.sync()
            return answer

    def create_listener(self) -> ActionResult:
        params = self._get_params()
        arn, protocol = params["LoadBalancerArn"], params.get("Protocol", "")
        self._refuse_taken_port(arn, params.get("Port"))
        params["DefaultActions"] = self._checked(params["DefaultActions"], arn, protocol)
        return _tidied(super().create_listener())

    def modify_listener(self) -> ActionResult:
        params = self._get_params()
        listener = self.elbv2_backend.describe_listeners(None, [params["ListenerArn"]])[0]
        self._refuse_taken_port(listener.load_balancer_arn, params.get("Port"), but=listener.arn)
        if params.get("DefaultActions"):
            protocol = params.get("Protocol") or listener.protocol
            actions, before = params["DefaultActions"], listener.default_actions
            params["DefaultActions"] = self._checked(actions, listener.load_balancer_arn, protocol, before)
        return _tidied(super().modify_listener())

    def create_rule(self) -> ActionResult:
        params = self._get_params()
        listener = self.elbv2_backend.describe_listeners(None, [params["ListenerArn"]])[0]
        params["Actions"] = self._checked(params["Actions"], listener.load_balancer_arn, listener.protocol)
        return _tidied(super().create_rule())

    def modify_rule(self) -> ActionResult:
        params = self._get_params()
        rule = self._own_rule(params["RuleArn"], "modified")
        listener = self.elbv2_backend.describe_listeners(None, [rule.listener_arn])[0]
        if params.get("Actions"):
            actions, where = params["Actions"], listener.load_balancer_arn
            params["Actions"] = self._checked(actions, where, listener.protocol, rule.actions)
        return _tidied(super().modify_rule())

    def delete_rule(self) -> ActionResult:
        self._own_rule(self._get_param("RuleArn"), "deleted")
        return super().delete_rule()

    def set_rule_priorities(self) -> ActionResult:
        for wanted in self._get_param("RulePriorities", []):
            self._own_rule(wanted["RuleArn"], "given a priority")
        return super().set_rule_priorities()

    def describe_rules(self) -> ActionResult:
        """In the order of evaluation; moto's pages are kept."""
        found = list(self.elbv2_backend.describe_rules(self._get_param("ListenerArn"), self._get_param("RuleArns")))
        rules = in_order(found) if self._get_param("ListenerArn") else found
        marker, size = self._get_param("Marker"), self._get_int_param("PageSize", 50)
        start = 1 + [rule.arn for rule in rules].index(marker) if marker else 0
        page, more = rules[start : start + size], len(rules) > start + size
        return ActionResult({"Rules": page, "NextMarker": page[-1].arn if more else None})

    def create_target_group(self) -> ActionResult:
        """The same name and the same settings again give the existing group (J15)."""
        params = self._get_params()
        check_settings(params, CHECK_DEFAULTS, fast=self.plane.fast)
        existing = [g for g in self.elbv2_backend.target_groups.values() if g.name == params["Name"]]
        if not existing:
            return ActionResult({"TargetGroups": [self._new_group(params)]})
        twin = self._new_group({**params, "Name": f"twin-{uuid.uuid4().hex[:16]}", "Tags": []})
        del self.elbv2_backend.target_groups[twin.arn]
        if settings(twin) != settings(existing[0]):
            text = f"A target group with the same name '{params['Name']}' exists, but with different settings"
            raise ELBClientError("DuplicateTargetGroupName", text)
        return ActionResult({"TargetGroups": existing})

    def modify_target_group(self) -> ActionResult:
        group = self.plane.group(self._get_param("TargetGroupArn"))
        current = {
            "HealthCheckIntervalSeconds": group.health_check_interval_seconds,
            "HealthCheckTimeoutSeconds": group.health_check_timeout_seconds,
        }
        check_settings(self._get_params(), current, fast=self.plane.fast)
        return super().modify_target_group()

    def modify_target_group_attributes(self) -> ActionResult:
        """Answers with all attributes, as AWS does."""
        group = self.plane.group(self._get_param("TargetGroupArn"))
        sent = {item["Key"]: item.get("Value", "") for item in self._get_param("Attributes", [])}
        check_attributes(sent)
        # moto's own range ends one second early (J31); this one was checked above.
        delay = sent.pop("deregistration_delay.timeout_seconds", None)
        self.elbv2_backend.modify_target_group_attributes(group.arn, sent)
        group.attributes.update({} if delay is None else {"deregistration_delay.timeout_seconds": delay})
        return ActionResult({"Attributes": group.attributes})

    def register_targets(self) -> ActionResult:
        self.plane.register_all(self._get_param("TargetGroupArn"), self._get_param("Targets", []))
        return EmptyResult()

    def deregister_targets(self) -> ActionResult:
        for target in self._get_param("Targets", []):
            self.plane.deregister(self._get_param("TargetGroupArn"), target["Id"])
        return EmptyResult()

    def describe_target_health(self) -> ActionResult:
        group = self.plane.group(self._get_param("TargetGroupArn"))
        known = self.plane.health(group.arn)
        asked = self._get_param("Targets", [])
        found = [_health_of(wanted, known, group) for wanted in asked] if asked else [_shown(h, group) for h in known]
        return ActionResult({"TargetHealthDescriptions": found})

    def add_tags(self) -> ActionResult:
        """Fifty tags per resource; moto stops at ten."""
        backend, tags = self.elbv2_backend, self._get_param("Tags", [])
        for arn in self._get_param("ResourceArns", []):
            backend._get_resource_by_arn(arn)
            existing = backend.tagging_service.get_tag_dict_for_resource(arn)
            if len({*existing, *(tag["Key"] for tag in tags)}) > MOST_TAGS:
                raise TooManyTagsError
            backend.tagging_service.tag_resource(arn, tags)
        return EmptyResult()

    def delete_load_balancer(self) -> ActionResult:
        arn = self._get_param("LoadBalancerArn")
        found = self.elbv2_backend.load_balancers.get(arn)
        if found and found.attrs.get("deletion_protection.enabled") == "true":
            text = f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled"
            raise ELBClientError("OperationNotPermitted", text)
        return super().delete_load_balancer()

    def _checked(
        self, actions: Sequence[Mapping[str, Any]], load_balancer_arn: str, protocol: str, before: Sequence[Any] = ()
    ) -> list[Action]:
        old = [action.data for action in before]
        check_secrets(actions, old)
        return checked(actions, Setting(load_balancer_arn, protocol, self.plane.known_group, old))

    def _own_rule(self, arn: str, verb: str) -> Any:
        rule = self.elbv2_backend.describe_rules(None, [arn])[0]
        if rule.is_default:
            raise ELBClientError("OperationNotPermitted", f"Default rule '{arn}' cannot be {verb}")
        return rule

    def _refuse_taken_port(self, load_balancer_arn: str, port: int | None, but: str = "") -> None:
        balancer = self.elbv2_backend.load_balancers.get(load_balancer_arn)
        taken = [item.port for item in balancer.listeners.values() if item.arn != but] if balancer else []
        if port is not None and port in taken:
            raise ELBClientError("DuplicateListener", "A listener already exists on this port for this load balancer")

    def _new_group(self, params: Mapping[str, Any]) -> Any:
        """moto's, made from these parameters. Its own check of interval and timeout is ours already."""
        self.params = {**CHECK_DEFAULTS, **params, "HealthCheckIntervalSeconds": 300, "HealthCheckTimeoutSeconds": 2}
        super().create_target_group()
        group = list(self.elbv2_backend.target_groups.values())[-1]
        group.health_check_interval_seconds = params.get("HealthCheckIntervalSeconds", 30)
        group.health_check_timeout_seconds = params.get("HealthCheckTimeoutSeconds", 5)
        return group


def _tidied(result: ActionResult) -> ActionResult:
    tidy()
    return result


def _health_of(wanted: Mapping[str, Any], known: Sequence[TargetHealth], group: Any) -> dict[str, Any]:
    port = wanted.get("Port")
    for health in known:
        if health.target.id == wanted["Id"] and port in (None, health.target.port):
            return _shown(health, group)
    text = "Target is not registered to the target group"
    return {
        "Target": {"Id": wanted["Id"], "Port": port or group.port},
        "TargetHealth": {"State": "unused", "Reason": "Target.NotRegistered", "Description": text},
    }


def _shown(health: TargetHealth, group: Any) -> dict[str, Any]:
    port = str(group.health_check_port)
    return {
        "Target": {"Id": health.target.id, "Port": health.target.port},
        "HealthCheckPort": port if port.isdigit() else str(health.target.port),
        "TargetHealth": {"State": health.state, "Reason": health.reason, "Description": health.description},
    }
