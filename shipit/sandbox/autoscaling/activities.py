"""Scaling activities, worded as AWS words them (API page of DescribeScalingActivities, field note B4)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from shipit.sandbox.autoscaling.state import Group, Sizes, Subnet

EC2_UNHEALTHY = "an EC2 health check indicating it has been terminated or stopped"
ELB_UNHEALTHY = "an ELB system health check failure"
USER_UNHEALTHY = "a user health-check"
ABANDONED = "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token {token} was abandoned"
DIED_PENDING = (
    "Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: {reason}"
)
DRAINING = " - Waiting For ELB Connection Draining."
TARGETS_MISSING = "One or more target groups not found. Validating load balancer configuration failed."


@dataclass(frozen=True)
class Activity:
    id: str
    group_name: str
    group_arn: str
    description: str
    cause: str
    start: datetime
    details: str
    status: str = "InProgress"
    message: str | None = None
    progress: int = 50
    end: datetime | None = None
    group_deleted: bool = False


def launch_activity(group: Group, subnet: Subnet, cause: str, now: datetime) -> Activity:
    return Activity(
        id=str(uuid4()),
        group_name=group.name,
        group_arn=group.arn,
        description="Launching a new EC2 instance",
        cause=cause,
        start=now,
        details=_details(subnet),
        status="WaitingForInstanceId",
        progress=20,
    )


def terminate_activity(group: Group, subnet: Subnet, instance_id: str, cause: str, now: datetime) -> Activity:
    return Activity(
        id=str(uuid4()),
        group_name=group.name,
        group_arn=group.arn,
        description=f"Terminating EC2 instance: {instance_id}",
        cause=cause,
        start=now,
        details=_details(subnet),
    )


def failure_message(message: str) -> str:
    """EC2's reason as Auto Scaling passes it on; it ends with the sentence that says what failed."""
    return message if message.endswith("failed.") else f"{message.rstrip('.')}. Launching EC2 instance failed."


def created_change(sizes: Sizes, now: datetime) -> str:
    text = f"At {_at(now)} a user request created an AutoScalingGroup"
    return f"{text} changing the desired capacity from 0 to {sizes.desired}."


def updated_change(before: Sizes, after: Sizes, now: datetime, *, by: str = "a user request") -> str:
    return (
        f"At {_at(now)} {by} update of AutoScalingGroup constraints to min: {after.min}, max: {after.max}, "
        f"desired: {after.desired} changing the desired capacity from {before.desired} to {after.desired}."
    )


def desired_change(before: int, after: int, now: datetime) -> str:
    return (
        f"At {_at(now)} a user request explicitly set group desired capacity "
        f"changing the desired capacity from {before} to {after}."
    )


def grow_cause(group: Group, actual: int, target: int, now: datetime) -> str:
    """Why instances are launched; `actual` and `target` are the capacities before and after the whole round."""
    if group.replacing:
        return f"At {_at(now)} an instance was started in response to an unhealthy instance needing to be replaced."
    text = (
        f"At {_at(now)} an instance was started in response to a difference between desired and actual capacity, "
        f"increasing the capacity from {actual} to {target}."
    )
    return _after(group.change, text)


def shrink_cause(group: Group, actual: int, target: int, now: datetime) -> str:
    text = (
        f"At {_at(now)} an instance was taken out of service in response to a difference between desired and actual "
        f"capacity, shrinking the capacity from {actual} to {target}."
    )
    return _after(group.change, text)


def selected(cause: str, instance_id: str, now: datetime) -> str:
    return f"{cause}  At {_at(now)} instance {instance_id} was selected for termination."


def unhealthy_cause(reason: str, now: datetime) -> str:
    return f"At {_at(now)} an instance was taken out of service in response to {reason}."


def requested_cause(instance_id: str, now: datetime, *, actual: int | None = None) -> str:
    """A user ended one instance; `actual` is the capacity before, when the desired capacity falls with it."""
    text = f"At {_at(now)} instance {instance_id} was taken out of service in response to a user request"
    return f"{text}." if actual is None else f"{text}, shrinking the capacity from {actual} to {actual - 1}."


def deleted_cause(now: datetime) -> str:
    return f"At {_at(now)} a user request force deleted AutoScalingGroup."


def _after(change: str, text: str) -> str:
    return f"{change}  {text}" if change else text


def _at(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def _details(subnet: Subnet) -> str:
    return json.dumps({"Subnet ID": subnet.id, "Availability Zone": subnet.zone})
