"""Scaling policies and notifications: kept per group and returned; they do not act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from moto.core.responses import ActionResult, EmptyResult

from shipit.sandbox.autoscaling import errors
from shipit.sandbox.autoscaling.wire import Api

POLICY_TYPES = ("SimpleScaling", "StepScaling", "TargetTrackingScaling", "PredictiveScaling")
NOTIFICATION_TYPES = (
    "autoscaling:EC2_INSTANCE_LAUNCH",
    "autoscaling:EC2_INSTANCE_LAUNCH_ERROR",
    "autoscaling:EC2_INSTANCE_TERMINATE",
    "autoscaling:EC2_INSTANCE_TERMINATE_ERROR",
    "autoscaling:TEST_NOTIFICATION",
)


class PoliciesApi(Api):
    def put_scaling_policy(self) -> ActionResult:
        asked = self._asked
        group = self._world.writable(asked["AutoScalingGroupName"])
        name, kind = asked["PolicyName"], asked.get("PolicyType") or "SimpleScaling"
        if kind not in POLICY_TYPES:
            raise errors.invalid(f"Invalid policy type {kind}: it must be one of {', '.join(POLICY_TYPES)}.")
        if kind == "TargetTrackingScaling" and not asked.get("TargetTrackingConfiguration"):
            raise errors.invalid("TargetTrackingConfiguration is required for policies of type TargetTrackingScaling.")
        if kind in ("SimpleScaling", "StepScaling") and not asked.get("AdjustmentType"):
            raise errors.invalid(f"AdjustmentType is required for policies of type {kind}.")
        prefix = f"arn:aws:autoscaling:{self.region}:{self.current_account}:scalingPolicy"
        arn = f"{prefix}:{uuid4()}:autoScalingGroupName/{group.name}:policyName/{name}"
        old: Mapping[str, Any] = group.policies.get(name, {"PolicyARN": arn})
        policy = {"Enabled": True, "Alarms": [], **asked, "PolicyType": kind, "PolicyARN": old["PolicyARN"]}
        self._world.put(replace(group, policies={**group.policies, name: policy}))
        return ActionResult({"PolicyARN": policy["PolicyARN"], "Alarms": []})

    def describe_policies(self) -> ActionResult:
        asked = self._asked
        name, names, types = (asked.get(key) for key in ("AutoScalingGroupName", "PolicyNames", "PolicyTypes"))
        groups = [self._world.group(name)] if name else list(self._world.groups.values())
        found = [
            policy
            for group in groups
            for policy in group.policies.values()
            if (not names or policy["PolicyName"] in names or policy["PolicyARN"] in names)
            and (not types or policy["PolicyType"] in types)
        ]
        page, token = self._page(found)
        return ActionResult({"ScalingPolicies": page, "NextToken": token})

    def delete_policy(self) -> ActionResult:
        asked = self._asked
        wanted, name = asked["PolicyName"], asked.get("AutoScalingGroupName")
        groups = [self._world.writable(name)] if name else list(self._world.groups.values())
        for group in groups:
            left = {k: one for k, one in group.policies.items() if wanted not in (k, one["PolicyARN"])}
            if len(left) < len(group.policies):
                self._world.put(replace(group, policies=left))
                return EmptyResult()
        raise errors.invalid(f"Policy name not found - {wanted}")

    def put_notification_configuration(self) -> ActionResult:
        asked = self._asked
        group = self._world.writable(asked["AutoScalingGroupName"])
        wrong = [kind for kind in asked["NotificationTypes"] if kind not in NOTIFICATION_TYPES]
        if wrong:
            raise errors.invalid(f'"{wrong[0]}" is not a valid Notification Type')
        notifications = {**group.notifications, asked["TopicARN"]: tuple(asked["NotificationTypes"])}
        self._world.put(replace(group, notifications=notifications))
        return EmptyResult()

    def describe_notification_configurations(self) -> ActionResult:
        names = self._asked.get("AutoScalingGroupNames")
        groups = [self._world.group(name) for name in names] if names else list(self._world.groups.values())
        found = [
            {"AutoScalingGroupName": group.name, "TopicARN": topic, "NotificationType": kind}
            for group in groups
            for topic, kinds in group.notifications.items()
            for kind in kinds
        ]
        page, token = self._page(found)
        return ActionResult({"NotificationConfigurations": page, "NextToken": token})

    def delete_notification_configuration(self) -> ActionResult:
        asked = self._asked
        group = self._world.writable(asked["AutoScalingGroupName"])
        left = {topic: kinds for topic, kinds in group.notifications.items() if topic != asked["TopicARN"]}
        self._world.put(replace(group, notifications=left))
        return EmptyResult()
