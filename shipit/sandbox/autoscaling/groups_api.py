"""Create, update and delete groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from moto.core.responses import ActionResult, EmptyResult

from shipit.sandbox.autoscaling import activities, errors, transitions, validation
from shipit.sandbox.autoscaling.state import Attachment, Group, Sizes
from shipit.sandbox.autoscaling.wire import Api

# Stored and returned as sent; the others are kept in fields of their own.
STORED = (
    "AvailabilityZoneDistribution",
    "AvailabilityZoneImpairmentPolicy",
    "CapacityRebalance",
    "CapacityReservationSpecification",
    "Context",
    "DefaultCooldown",
    "DefaultInstanceWarmup",
    "DeletionProtection",
    "DesiredCapacityType",
    "HealthCheckGracePeriod",
    "HealthCheckType",
    "InstanceLifecyclePolicy",
    "InstanceMaintenancePolicy",
    "MaxInstanceLifetime",
    "NewInstancesProtectedFromScaleIn",
    "PlacementGroup",
    "ServiceLinkedRoleARN",
    "TerminationPolicies",
    "VPCZoneIdentifier",
)
DEFAULTS = {
    "DefaultCooldown": 300,
    "DeletionProtection": "none",
    "HealthCheckGracePeriod": 0,
    "HealthCheckType": "EC2",
    "NewInstancesProtectedFromScaleIn": False,
    "TerminationPolicies": ["Default"],
}


class GroupsApi(Api):
    def create_auto_scaling_group(self) -> ActionResult:
        asked = self._asked
        name = asked["AutoScalingGroupName"]
        existing = self._world.groups.get(name)
        if existing:
            raise errors.group_exists(name, deleting=existing.deleting)
        group = self._new_group(name, asked)
        change = activities.created_change(group.sizes, self._now)
        self._world.put(replace(group, change=change if group.sizes.desired else ""))
        return EmptyResult()

    def _new_group(self, name: str, asked: Mapping[str, Any]) -> Group:
        validation.check_name(name)
        validation.check_settings(asked)
        low, high = asked["MinSize"], asked["MaxSize"]
        sizes = Sizes(low, high, asked.get("DesiredCapacity", low))
        validation.check_sizes(sizes)
        validation.check_source(asked)
        role = f"arn:aws:iam::{self.current_account}:role/aws-service-role/autoscaling.amazonaws.com"
        settings = {
            **DEFAULTS,
            "ServiceLinkedRoleARN": f"{role}/AWSServiceRoleForAutoScaling",
            **_stored(asked),
            **validation.launch_source(self.service.ec2, asked),
        }
        prefix = f"arn:aws:autoscaling:{self.region}:{self.current_account}:autoScalingGroup"
        return Group(
            name=name,
            arn=f"{prefix}:{uuid4()}:autoScalingGroupName/{name}",
            created=self._now,
            sizes=sizes,
            subnets=validation.subnets(self.service.ec2, asked),
            settings=settings,
            attachments=self._first_attachments(asked),
            tags=validation.tags(asked.get("Tags")),
            hooks={
                one["LifecycleHookName"]: validation.hook(one)
                for one in asked.get("LifecycleHookSpecificationList") or []
            },
        )

    def _first_attachments(self, asked: Mapping[str, Any]) -> tuple[Attachment, ...]:
        """Target groups of the create call, which are InService from the start (API page of
        DescribeLoadBalancerTargetGroups): their health counts even if nothing passed yet."""
        arns = asked.get("TargetGroupARNs") or []
        sources = [one["Identifier"] for one in asked.get("TrafficSources") or []]
        if arns and sources:
            raise errors.invalid("You can't specify both TargetGroupARNs and TrafficSources.")
        validation.check_target_groups(self.service.target_groups, [*arns, *sources])
        family = "target-group" if arns else "traffic-source"
        return tuple(Attachment(arn, family, "InService") for arn in dict.fromkeys([*arns, *sources]))

    def update_auto_scaling_group(self) -> ActionResult:
        asked = self._asked
        group = self._world.writable(asked["AutoScalingGroupName"])
        validation.check_settings(asked)
        bounds = (asked.get("MinSize"), asked.get("MaxSize"), asked.get("DesiredCapacity"))
        sizes = transitions.clamp(group.sizes, *bounds)
        validation.check_sizes(sizes)
        placed = asked.get("VPCZoneIdentifier") or asked.get("AvailabilityZones")
        subnets = validation.subnets(self.service.ec2, asked) if placed else group.subnets
        changed = replace(group, settings=self._updated_settings(group, asked), subnets=subnets)
        change = activities.updated_change(group.sizes, sizes, self._now)
        transitions.set_sizes(self._world, changed, sizes, change)
        return EmptyResult()

    def _updated_settings(self, group: Group, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What was not sent stays; a launch source replaces the other kind; -1 and "" clear."""
        settings = {**group.settings, **_stored(asked)}
        if any(asked.get(source) for source in validation.SOURCES):
            validation.check_source(asked)
            source = validation.launch_source(self.service.ec2, asked)
            settings = {key: value for key, value in settings.items() if key not in validation.SOURCES} | source
        if (settings.get("InstanceMaintenancePolicy") or {}).get("MinHealthyPercentage") == -1:
            del settings["InstanceMaintenancePolicy"]
        cleared = {"DefaultInstanceWarmup": -1, "PlacementGroup": "", "MaxInstanceLifetime": 0, "Context": ""}
        return {key: value for key, value in settings.items() if key not in cleared or value != cleared[key]}

    def delete_auto_scaling_group(self) -> ActionResult:
        asked = self._asked
        group = self._world.group(asked["AutoScalingGroupName"])
        force = bool(asked.get("ForceDelete"))
        self._check_deletable(group, force=force)
        self._world.put(replace(group, sizes=Sizes(0, 0, 0), deleting=True, forced=force or group.forced))
        return EmptyResult()

    def _check_deletable(self, group: Group, *, force: bool) -> None:
        protection = group.settings.get("DeletionProtection")
        if protection == "prevent-all-deletion" or (force and protection == "prevent-force-deletion"):
            raise errors.invalid(
                f"The AutoScalingGroup '{group.name}' cannot be deleted while its deletion protection is {protection}."
            )
        if force or group.deleting:
            return
        if any(member.instance_id for member in group.members):
            raise errors.instances_left()
        if group.members or self._world.busy(group):
            raise errors.activities_left()


def _stored(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {key: asked[key] for key in STORED if asked.get(key) is not None}
