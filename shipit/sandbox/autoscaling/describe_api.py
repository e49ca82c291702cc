"""Describe groups, instances and activities."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from moto.core.responses import ActionResult

from shipit.sandbox.autoscaling.activities import Activity
from shipit.sandbox.autoscaling.errors import invalid
from shipit.sandbox.autoscaling.state import Group, Member
from shipit.sandbox.autoscaling.wire import Api, chosen, matches


class DescribeApi(Api):
    def describe_auto_scaling_groups(self) -> ActionResult:
        asked = self._asked
        groups = chosen(self._world.groups, asked.get("AutoScalingGroupNames"))
        found = [one for one in groups if matches(asked.get("Filters"), partial(_tagged, one))]
        page, token = self._page(found)
        with_instances = asked.get("IncludeInstances", True)
        shapes = [group_shape(group, with_instances=with_instances) for group in page]
        return ActionResult({"AutoScalingGroups": shapes, "NextToken": token})

    def describe_auto_scaling_instances(self) -> ActionResult:
        wanted = set(self._asked.get("InstanceIds") or [])
        found = [
            {**member_shape(member), "AutoScalingGroupName": group.name}
            for group in self._world.groups.values()
            for member in group.members
            if member.instance_id and (not wanted or member.instance_id in wanted)
        ]
        page, token = self._page(found, most=50)
        return ActionResult({"AutoScalingInstances": page, "NextToken": token})

    def describe_scaling_activities(self) -> ActionResult:
        asked = self._asked
        name, deleted, ids = (asked.get(k) for k in ("AutoScalingGroupName", "IncludeDeletedGroups", "ActivityIds"))
        if name and not deleted:
            self._world.group(name)
        found = [
            activity
            for activity in reversed(self._world.activities.values())
            if (deleted or not activity.group_deleted)
            and name in (None, activity.group_name)
            and (not ids or activity.id in ids)
        ]
        page, token = self._page(found, usual=100)
        return ActionResult({"Activities": [activity_shape(one) for one in page], "NextToken": token})


def _tagged(group: Group, key: str, values: set[str]) -> bool:
    if key == "tag-key":
        return any(tag.key in values for tag in group.tags)
    if key == "tag-value":
        return any(tag.value in values for tag in group.tags)
    if key.startswith("tag:"):
        return any(tag.key == key.removeprefix("tag:") and tag.value in values for tag in group.tags)
    raise invalid(f"Filter type {key} is not correct. Allowed Filter types are: tag-key tag-value tag:<key>")


def group_shape(group: Group, *, with_instances: bool = True) -> dict[str, Any]:
    attached = [one for one in group.attachments if one.state != "Removing"]
    return {
        **group.settings,
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
        "MinSize": group.sizes.min,
        "MaxSize": group.sizes.max,
        "DesiredCapacity": group.sizes.desired,
        "AvailabilityZones": list(dict.fromkeys(subnet.zone for subnet in group.subnets)),
        "LoadBalancerNames": [],
        "TargetGroupARNs": [one.arn for one in attached],
        "TrafficSources": [{"Identifier": one.arn, "Type": "elbv2"} for one in attached],
        "Instances": [member_shape(one) for one in group.members if one.instance_id] if with_instances else [],
        "CreatedTime": group.created,
        "SuspendedProcesses": [{"ProcessName": k, "SuspensionReason": why} for k, why in group.suspended.items()],
        "EnabledMetrics": [{"Metric": metric, "Granularity": "1Minute"} for metric in sorted(group.metrics)],
        "Tags": tag_shapes(group),
        "Status": "Delete in progress" if group.deleting else None,
    }


def tag_shapes(group: Group) -> list[dict[str, Any]]:
    return [
        {
            "ResourceId": group.name,
            "ResourceType": "auto-scaling-group",
            "Key": tag.key,
            "Value": tag.value,
            "PropagateAtLaunch": tag.propagate,
        }
        for tag in group.tags
    ]


def member_shape(member: Member) -> dict[str, Any]:
    return {
        "InstanceId": member.instance_id,
        "InstanceType": member.template.instance_type if member.template else None,
        "AvailabilityZone": member.subnet.zone,
        "LifecycleState": member.state,
        "HealthStatus": member.health,
        "LaunchTemplate": _template_shape(member),
        "ProtectedFromScaleIn": member.protected,
    }


def _template_shape(member: Member) -> Mapping[str, str] | None:
    facts = member.template
    if facts is None:
        return None
    return {
        "LaunchTemplateId": facts.id,
        "LaunchTemplateName": facts.name,
        "Version": str(facts.version_number),
    }


def activity_shape(activity: Activity) -> dict[str, Any]:
    return {
        "ActivityId": activity.id,
        "AutoScalingGroupName": activity.group_name,
        "Description": activity.description,
        "Cause": activity.cause,
        "StartTime": activity.start,
        "EndTime": activity.end,
        "StatusCode": activity.status,
        "StatusMessage": activity.message,
        "Progress": activity.progress,
        "Details": activity.details,
        "AutoScalingGroupState": "Deleted" if activity.group_deleted else None,
        "AutoScalingGroupARN": activity.group_arn,
    }
