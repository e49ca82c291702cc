"""What AWS checks before it accepts a group; nothing is created or changed when any of it fails."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from shipit.sandbox.autoscaling import errors
from shipit.sandbox.autoscaling.launching import specification, template_ref
from shipit.sandbox.autoscaling.seams import Ec2, InvalidTemplate, TargetGroups
from shipit.sandbox.autoscaling.state import Hook, Sizes, Subnet, Tag

SOURCES = ("LaunchTemplate", "LaunchConfigurationName", "InstanceId", "MixedInstancesPolicy")
PROCESSES = (
    "AddToLoadBalancer",
    "AlarmNotification",
    "AZRebalance",
    "HealthCheck",
    "InstanceRefresh",
    "Launch",
    "ReplaceUnhealthy",
    "ScheduledActions",
    "Terminate",
)
TERMINATION_POLICIES = (
    "AllocationStrategy",
    "ClosestToNextInstanceHour",
    "Default",
    "NewestInstance",
    "OldestInstance",
    "OldestLaunchConfiguration",
    "OldestLaunchTemplate",
)
HEALTH_CHECKS = {"EC2", "ELB", "EBS", "VPC_LATTICE"}
RANGES = {
    "HealthCheckGracePeriod": (0, 10**9),
    "DefaultCooldown": (0, 10**9),
    "DefaultInstanceWarmup": (-1, 3600),
    "MinSize": (0, 10**6),
    "MaxSize": (0, 10**6),
    "DesiredCapacity": (0, 10**6),
}
_NAME = re.compile(r"[\x20-\x39\x3b-\x7e]{1,255}")


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise errors.invalid(
            f"1 validation error detected: Value '{name}' at 'autoScalingGroupName' failed to satisfy constraint: "
            "Member must be 1 to 255 printable ASCII characters without a colon"
        )


def check_settings(asked: Mapping[str, Any]) -> None:
    """Ranges and words of parameters that create and update share."""
    for key, (low, high) in RANGES.items():
        if asked.get(key) is not None and not low <= asked[key] <= high:
            raise errors.invalid(f"{key} must be between {low} and {high}: {asked[key]}")
    lifetime = asked.get("MaxInstanceLifetime") or 0
    if lifetime and lifetime < 86400:
        raise errors.invalid("MaxInstanceLifetime must be 0 or at least 86400 seconds.")
    _check_words("HealthCheckType", HEALTH_CHECKS, str(asked.get("HealthCheckType") or "EC2").split(","))
    _check_words("TerminationPolicies", TERMINATION_POLICIES, asked.get("TerminationPolicies") or [])
    protection = asked.get("DeletionProtection") or "none"
    _check_words("DeletionProtection", ("none", "prevent-force-deletion", "prevent-all-deletion"), [protection])
    _check_maintenance(asked.get("InstanceMaintenancePolicy"))


def check_processes(names: Sequence[str]) -> None:
    _check_words("ScalingProcesses", PROCESSES, names)


def _check_words(key: str, known: Sequence[str] | set[str], words: Sequence[str]) -> None:
    # A termination policy may also be a Lambda function's ARN.
    wrong = [word for word in words if word not in known and not word.startswith("arn:")]
    if wrong:
        raise errors.invalid(
            f"{key} contains an invalid value: {wrong[0]}. Valid values are: {', '.join(sorted(known))}"
        )


def _check_maintenance(policy: Mapping[str, Any] | None) -> None:
    if not policy:
        return
    low, high = policy.get("MinHealthyPercentage"), policy.get("MaxHealthyPercentage")
    if low is None or high is None:
        raise errors.invalid("Both MinHealthyPercentage and MaxHealthyPercentage must be specified.")
    if (low, high) != (-1, -1) and not (0 <= low <= 100 <= high <= 200 and high - low <= 100):
        raise errors.invalid(
            "MinHealthyPercentage must be 0-100, MaxHealthyPercentage 100-200, their difference at most 100."
        )


def check_sizes(sizes: Sizes) -> None:
    if sizes.max < sizes.min:
        raise errors.invalid(f"Max bound, {sizes.max}, must be greater than or equal to min bound, {sizes.min}")
    if not sizes.min <= sizes.desired <= sizes.max:
        raise errors.invalid(
            f"Desired capacity:{sizes.desired} must be between the specified min size:{sizes.min} "
            f"and max size:{sizes.max}"
        )


def check_source(asked: Mapping[str, Any]) -> None:
    if sum(bool(asked.get(source)) for source in SOURCES) != 1:
        raise errors.invalid(
            "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or "
            "MixedInstancesPolicy parameter."
        )


def launch_source(ec2: Ec2, asked: Mapping[str, Any]) -> dict[str, Any]:
    """LaunchTemplate or MixedInstancesPolicy to store, with the template's id and name and the version as given."""
    if asked.get("LaunchConfigurationName") or asked.get("InstanceId"):
        raise errors.invalid("Launch configuration name not found - the sandbox launches from launch templates only")
    found = specification(asked)
    if bool(found.get("LaunchTemplateId")) == bool(found.get("LaunchTemplateName")):
        raise errors.invalid("Valid requests must contain either launchTemplateId or LaunchTemplateName")
    try:
        facts = ec2.resolve(template_ref(asked))
    except InvalidTemplate as reason:
        raise errors.template_unusable(str(reason)) from reason
    spec = {
        "LaunchTemplateId": facts.id,
        "LaunchTemplateName": facts.name,
        "Version": str(found.get("Version") or "$Default"),
    }
    if asked.get("LaunchTemplate"):
        return {"LaunchTemplate": spec}
    policy = asked["MixedInstancesPolicy"]
    template = {**policy["LaunchTemplate"], "LaunchTemplateSpecification": spec}
    return {"MixedInstancesPolicy": {**policy, "LaunchTemplate": template}}


def subnets(ec2: Ec2, asked: Mapping[str, Any]) -> tuple[Subnet, ...]:
    ids = [one.strip() for one in str(asked.get("VPCZoneIdentifier") or "").split(",") if one.strip()]
    zones = asked.get("AvailabilityZones") or []
    if not ids and not zones:
        raise errors.invalid("At least one Availability Zone or VPC Subnet is required.")
    if not ids:
        return tuple(_default_subnet(ec2, zone) for zone in zones)
    found = tuple(_subnet(ec2, one) for one in ids)
    if zones and {subnet.zone for subnet in found} - set(zones):
        raise errors.invalid("The availability zones of the specified subnets and the Auto Scaling group do not match")
    return found


def _subnet(ec2: Ec2, subnet_id: str) -> Subnet:
    zone = ec2.subnet_zone(subnet_id)
    if zone is None:
        raise errors.invalid(f"The subnet ID '{subnet_id}' does not exist")
    return Subnet(subnet_id, zone)


def _default_subnet(ec2: Ec2, zone: str) -> Subnet:
    subnet_id = ec2.default_subnet(zone)
    if subnet_id is None:
        raise errors.invalid(f"Invalid availability zones: {zone}, or it has no default subnet")
    return Subnet(subnet_id, zone)


def check_target_groups(target_groups: TargetGroups, arns: Sequence[str]) -> None:
    if not all(target_groups.exists(arn) for arn in arns):
        raise errors.target_groups_invalid()


def tags(asked: Sequence[Mapping[str, Any]] | None) -> tuple[Tag, ...]:
    return tuple({one["Key"]: tag(one) for one in asked or []}.values())


def tag(asked: Mapping[str, Any]) -> Tag:
    if asked["Key"].startswith("aws:"):
        raise errors.invalid("Tag keys that start with aws: are reserved for AWS.")
    return Tag(asked["Key"], asked.get("Value") or "", bool(asked.get("PropagateAtLaunch")))


def hook(asked: Mapping[str, Any], old: Hook | None = None) -> Hook:
    """A hook as given; what is not given is kept from the old one, or AWS's default."""
    kept = ("NotificationTargetARN", "RoleARN", "NotificationMetadata")
    settings = {**(old.settings if old else {}), **{key: asked[key] for key in kept if asked.get(key) is not None}}
    transition = asked.get("LifecycleTransition") or (old.transition if old else "")
    timeout = asked.get("HeartbeatTimeout") or (old.timeout_seconds if old else 3600)
    result = asked.get("DefaultResult") or (old.default_result if old else "ABANDON")
    _check_words(
        "LifecycleTransition",
        ("autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING"),
        [transition],
    )
    _check_words("DefaultResult", ("CONTINUE", "ABANDON"), [result])
    if not 30 <= timeout <= 7200:
        raise errors.invalid("Heartbeat timeout must be between 30 and 7200 seconds.")
    return Hook(asked["LifecycleHookName"], transition, timeout, result, settings)
