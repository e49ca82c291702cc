# ruff: noqa: N802 - named after the rows of the field notes
"""What the API accepts, refuses and gives back: rows of field note J, through boto3 and a real moto server."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shipit.sandbox.autoscaling import transitions
from shipit.sandbox.autoscaling.moves import Launch

from .fakes import Scaling

GROUP = {"AutoScalingGroupName": "web-1"}


def refused(call: Any, **asked: Any) -> tuple[str, str]:
    """The code and message of an error with status 400."""
    with pytest.raises(ClientError) as caught:
        call(**asked)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_J06_same_name_is_refused(scaling: Scaling) -> None:
    ids = scaling.created()
    code, message = refused(scaling.create)
    assert code == "AlreadyExists"
    assert message == "AutoScalingGroup by this name already exists - A group with the name web-1 already exists"
    assert scaling.ids() == ids


def test_J06_same_name_is_refused_while_the_old_group_is_being_deleted(scaling: Scaling) -> None:
    scaling.created()
    scaling.client.delete_auto_scaling_group(**GROUP, ForceDelete=True)
    code, message = refused(scaling.create)
    assert (code, message.endswith("already exists and is pending delete")) == ("AlreadyExists", True)


def test_J07_a_group_with_instances_is_not_deleted(scaling: Scaling) -> None:
    scaling.created()
    code, message = refused(scaling.client.delete_auto_scaling_group, **GROUP)
    assert code == "ResourceInUse"
    assert "while there are instances or pending Spot instance request(s) still in the group." in message


def test_J07_a_group_that_launches_is_not_deleted(scaling: Scaling) -> None:
    scaling.create()
    group = scaling.service.world.group("web-1")
    launch = Launch(group.subnets[0], cause="a test")
    transitions.begin_launch(scaling.service.world, group, launch, scaling.clock.now())
    code, message = refused(scaling.client.delete_auto_scaling_group, **GROUP)
    assert code == "ScalingActivityInProgress"
    assert "while there are scaling activities in progress" in message


def test_J07_force_deletion_takes_a_while_and_skips_hooks_and_draining(scaling: Scaling) -> None:
    hook = {"LifecycleHookName": "save", "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING"}
    ids = scaling.created(LifecycleHookSpecificationList=[hook], NewInstancesProtectedFromScaleIn=True)
    scaling.client.delete_auto_scaling_group(**GROUP, ForceDelete=True)
    assert scaling.group()["Status"] == "Delete in progress"
    for call in (scaling.client.update_auto_scaling_group, scaling.client.put_lifecycle_hook):
        extra = hook if call == scaling.client.put_lifecycle_hook else {}
        assert refused(call, **GROUP, **extra)[1].endswith("may not be modified while it is pending delete")
    scaling.settle()
    assert scaling.group() == {}
    assert {scaling.ec2.states[one] for one in ids} == {"terminated"}


def test_J07_an_orderly_deletion_drains_first_and_leaves_nothing(scaling: Scaling) -> None:
    scaling.created()
    scaling.client.put_scaling_policy(**GROUP, PolicyName="cpu", AdjustmentType="ChangeInCapacity", ScalingAdjustment=1)
    scaling.client.update_auto_scaling_group(**GROUP, MinSize=0, DesiredCapacity=0)
    scaling.settle()
    assert refused(scaling.client.delete_auto_scaling_group, **GROUP)[0] == "ResourceInUse"
    scaling.targets.drained()
    scaling.settle()
    scaling.client.delete_auto_scaling_group(**GROUP)
    assert scaling.group()["Status"] == "Delete in progress"
    scaling.settle()
    assert scaling.group() == {}
    assert scaling.client.describe_policies()["ScalingPolicies"] == []
    assert {one["AutoScalingGroupState"] for one in scaling.activities()} == {"Deleted"}
    assert scaling.client.describe_scaling_activities()["Activities"] == []


def test_J07_deletion_protection_is_honoured_and_can_be_lifted(scaling: Scaling) -> None:
    scaling.created(size=0, DeletionProtection="prevent-all-deletion")
    assert refused(scaling.client.delete_auto_scaling_group, **GROUP)[0] == "ValidationError"
    scaling.client.update_auto_scaling_group(**GROUP, DeletionProtection="prevent-force-deletion")
    assert refused(scaling.client.delete_auto_scaling_group, **GROUP, ForceDelete=True)[0] == "ValidationError"
    scaling.client.delete_auto_scaling_group(**GROUP)


def test_J07_unknown_groups_are_refused_except_by_describe(scaling: Scaling) -> None:
    message = "AutoScalingGroup name not found - AutoScalingGroup 'web-1' not found"
    calls = scaling.client.delete_auto_scaling_group, scaling.client.update_auto_scaling_group
    assert {refused(call, **GROUP) for call in calls} == {("ValidationError", message)}
    assert scaling.group() == {}


@pytest.mark.parametrize("action", ["start_instance_refresh", "get_predictive_scaling_forecast", "put_warm_pool"])
def test_J12_actions_that_the_sandbox_lacks_are_a_clean_error(scaling: Scaling, action: str) -> None:
    extra = {"PolicyName": "p", "StartTime": 1, "EndTime": 2} if "forecast" in action else {}
    code, message = refused(getattr(scaling.client, action), **GROUP, **extra)
    assert code == "InvalidAction"
    assert "The sandbox does not have the action" in message


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("Action=Dispatch", "InvalidAction"),
        ("Action=CreateAutoScalingGroup&AutoScalingGroupName=x&MinSize=many&MaxSize=1", "ValidationError"),
        ("Action=DeleteAutoScalingGroup", "ValidationError"),
    ],
)
def test_J12_nonsense_is_a_clean_error(scaling: Scaling, auto_scaling_server: str, body: str, code: str) -> None:
    credential = "Credential=test/20260101/eu-west-1/autoscaling/aws4_request"
    headers = {"Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=x"}
    request = urllib.request.Request(auto_scaling_server, f"{body}&Version=2011-01-01".encode(), headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 400
    assert f"<Code>{code}</Code>" in caught.value.read().decode()


def test_J12_optional_features_answer(scaling: Scaling) -> None:
    scaling.created(size=0)
    client = scaling.client
    assert client.describe_account_limits()["NumberOfAutoScalingGroups"] == 1
    assert client.describe_instance_refreshes(**GROUP)["InstanceRefreshes"] == []
    assert client.describe_warm_pool(**GROUP)["Instances"] == []
    topic = {"TopicARN": "arn:aws:sns:eu-west-1:123456789012:ops"}
    client.put_notification_configuration(**GROUP, **topic, NotificationTypes=["autoscaling:EC2_INSTANCE_LAUNCH_ERROR"])
    [found] = client.describe_notification_configurations()["NotificationConfigurations"]
    assert found == {**GROUP, **topic, "NotificationType": "autoscaling:EC2_INSTANCE_LAUNCH_ERROR"}
    client.delete_notification_configuration(**GROUP, **topic)
    assert client.describe_notification_configurations()["NotificationConfigurations"] == []


def test_J12_traffic_sources_are_target_groups_by_another_name(scaling: Scaling) -> None:
    source = {"Identifier": "tg-1", "Type": "elbv2"}
    scaling.created(size=1, TargetGroupARNs=None, TrafficSources=[source])
    [found] = scaling.client.describe_traffic_sources(**GROUP)["TrafficSources"]
    assert (found["Identifier"], found["Type"], found["State"]) == ("tg-1", "elbv2", "InService")
    assert scaling.group()["TrafficSources"] == [source]
    detach = scaling.client.detach_load_balancer_target_groups
    assert refused(detach, **GROUP, TargetGroupARNs=["tg-1"])[0] == "ValidationError"
    scaling.client.detach_traffic_sources(**GROUP, TrafficSources=[source])
    scaling.client.attach_traffic_sources(**GROUP, TrafficSources=[{**source, "Identifier": "tg-2"}])
    scaling.settle()
    assert scaling.targets.states["tg-2"] == {scaling.ids()[0]: "healthy"}


def test_J13_policies_belong_to_their_group(scaling: Scaling) -> None:
    tracking = {
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingConfiguration": {
            "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
            "TargetValue": 50.0,
        },
    }
    for name in ("web-1", "web-2"):
        scaling.create(name, size=0)
        scaling.client.put_scaling_policy(AutoScalingGroupName=name, PolicyName="cpu", **tracking)
    scaling.client.delete_policy(AutoScalingGroupName="web-2", PolicyName="cpu")
    [policy] = scaling.client.describe_policies()["ScalingPolicies"]
    assert policy["AutoScalingGroupName"] == "web-1"
    assert policy["TargetTrackingConfiguration"] == tracking["TargetTrackingConfiguration"]
    assert policy["Enabled"] is True


TEMPLATE = {"LaunchTemplateId": "lt-1", "Version": "1"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"TargetGroupARNs": ["tg-9"]}, "Provided Target Groups may not be valid."),
        ({"MinSize": 3, "MaxSize": 2}, "Max bound, 2, must be greater than or equal to min bound, 3"),
        ({"MaxSize": 1, "DesiredCapacity": 2}, "Desired capacity:2 must be between the specified min size:0 and max"),
        ({"LaunchTemplate": {"LaunchTemplateId": "lt-9"}}, "You must use a valid fully-formed launch template. The"),
        ({"LaunchTemplate": None}, "Valid requests must contain either LaunchTemplate, LaunchConfigurationName"),
        ({"LaunchConfigurationName": "lc"}, "Valid requests must contain either LaunchTemplate"),
        ({"VPCZoneIdentifier": None}, "At least one Availability Zone or VPC Subnet is required."),
        ({"VPCZoneIdentifier": "subnet-9"}, "The subnet ID 'subnet-9' does not exist"),
        ({"AutoScalingGroupName": "a:b"}, "without a colon"),
        ({"HealthCheckGracePeriod": -1}, "HealthCheckGracePeriod"),
        ({"MaxInstanceLifetime": 60}, "MaxInstanceLifetime"),
        ({"TerminationPolicies": ["Best"]}, "TerminationPolicies"),
        ({"HealthCheckType": "HTTP"}, "HealthCheckType"),
        ({"InstanceMaintenancePolicy": {"MinHealthyPercentage": 10, "MaxHealthyPercentage": 200}}, "at most 100"),
        ({"Tags": [{"Key": "aws:x", "Value": "y"}]}, "reserved"),
    ],
)
def test_J18_and_J19_a_refused_group_leaves_nothing(scaling: Scaling, changes: dict[str, Any], message: str) -> None:
    code, text = refused(scaling.create, **changes)
    assert code == "ValidationError"
    assert message in text
    scaling.settle()
    assert scaling.client.describe_auto_scaling_groups()["AutoScalingGroups"] == []
    assert scaling.ec2.requests == {}


def test_J20_parameters_are_returned_as_sent(scaling: Scaling) -> None:
    sent: dict[str, Any] = {
        "HealthCheckGracePeriod": 0,
        "DefaultInstanceWarmup": 0,
        "DefaultCooldown": 7,
        "InstanceMaintenancePolicy": {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 150},
        "DeletionProtection": "prevent-force-deletion",
        "MaxInstanceLifetime": 86400,
        "NewInstancesProtectedFromScaleIn": True,
        "TerminationPolicies": ["OldestInstance", "Default"],
        "CapacityRebalance": True,
        "HealthCheckType": "EC2,ELB",
        "PlacementGroup": "pg",
        "Context": "ctx",
    }
    hook = {
        "LifecycleHookName": "warm",
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
        "NotificationMetadata": "meta",
        "HeartbeatTimeout": 120,
        "DefaultResult": "CONTINUE",
        "NotificationTargetARN": "arn:aws:sqs:eu-west-1:123456789012:q",
        "RoleARN": "arn:aws:iam::123456789012:role/hooks",
    }
    scaling.create(size=0, **sent, LifecycleHookSpecificationList=[hook])
    group = scaling.group()
    assert {key: group[key] for key in sent} == sent
    assert group["LaunchTemplate"] == {**TEMPLATE, "LaunchTemplateName": "web"}
    assert group["VPCZoneIdentifier"] == "subnet-a,subnet-b,subnet-c"
    assert group["AvailabilityZones"] == ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
    [found] = scaling.client.describe_lifecycle_hooks(**GROUP)["LifecycleHooks"]
    assert found == {**hook, **GROUP, "GlobalTimeout": 12000}


def test_J20_metrics_collection_can_be_switched(scaling: Scaling) -> None:
    scaling.create(size=0)
    scaling.client.enable_metrics_collection(**GROUP, Granularity="1Minute")
    assert {"Metric": "GroupInServiceInstances", "Granularity": "1Minute"} in scaling.group()["EnabledMetrics"]
    scaling.client.disable_metrics_collection(**GROUP)
    assert scaling.group()["EnabledMetrics"] == []


def test_J21_an_update_keeps_what_it_does_not_name(scaling: Scaling) -> None:
    policy = {
        "LaunchTemplate": {
            "LaunchTemplateSpecification": TEMPLATE,
            "Overrides": [{"InstanceType": "m5.large"}],
        },
        "InstancesDistribution": {"OnDemandBaseCapacity": 1},
    }
    ids = scaling.created(size=1, LaunchTemplate=None, MixedInstancesPolicy=policy, HealthCheckGracePeriod=5)
    scaling.client.update_auto_scaling_group(**GROUP, DefaultCooldown=1)
    group = scaling.group()
    assert group["MixedInstancesPolicy"]["InstancesDistribution"] == {"OnDemandBaseCapacity": 1}
    assert group["HealthCheckGracePeriod"] == 5
    assert scaling.ec2.requests[ids[0]].instance_type == "m5.large"
    scaling.client.update_auto_scaling_group(**GROUP, LaunchTemplate=TEMPLATE)
    assert "MixedInstancesPolicy" not in scaling.group()


@pytest.mark.parametrize(
    ("change", "sizes"),
    [
        ({"MinSize": 3}, (3, 4, 3)),
        ({"MaxSize": 1}, (0, 1, 1)),
        ({"MinSize": 1, "DesiredCapacity": 4}, (1, 4, 4)),
        ({"HealthCheckGracePeriod": 1}, (0, 4, 2)),
    ],
)
def test_B06_bounds_move_the_desired_capacity(
    scaling: Scaling, change: dict[str, int], sizes: tuple[int, int, int]
) -> None:
    scaling.create(size=2)
    scaling.client.update_auto_scaling_group(**GROUP, **change)
    group = scaling.group()
    assert (group["MinSize"], group["MaxSize"], group["DesiredCapacity"]) == sizes


def test_B06_desired_capacity_outside_the_bounds_is_refused(scaling: Scaling) -> None:
    scaling.create(size=2, MinSize=1)
    set_desired = scaling.client.set_desired_capacity
    above = refused(set_desired, **GROUP, DesiredCapacity=5)
    assert above == (
        "ValidationError",
        "New SetDesiredCapacity value 5 is above max value 4 for the AutoScalingGroup.",
    )
    assert "is below min value 1" in refused(set_desired, **GROUP, DesiredCapacity=0)[1]
    update = scaling.client.update_auto_scaling_group
    assert "must be between" in refused(update, **GROUP, DesiredCapacity=9)[1]
    assert scaling.group()["DesiredCapacity"] == 2


def test_J25_processes_are_named_and_shown(scaling: Scaling) -> None:
    scaling.create(size=0)
    assert refused(scaling.client.suspend_processes, **GROUP, ScalingProcesses=["Lunch"])[0] == "ValidationError"
    scaling.client.suspend_processes(**GROUP, ScalingProcesses=["AZRebalance", "AlarmNotification"])
    reasons = {one["ProcessName"]: one["SuspensionReason"] for one in scaling.group()["SuspendedProcesses"]}
    assert reasons == dict.fromkeys(["AZRebalance", "AlarmNotification"], "User suspended at 2026-01-01T12:00:00Z")
    scaling.client.resume_processes(**GROUP)
    assert scaling.group()["SuspendedProcesses"] == []


def test_J38_groups_are_found_by_tags(scaling: Scaling) -> None:
    for name in ("web-1", "web-2"):
        scaling.create(name, size=0, Tags=[{"Key": "release", "Value": name}])
    found = scaling.client.describe_auto_scaling_groups(Filters=[{"Name": "tag:release", "Values": ["web-2"]}])
    assert [one["AutoScalingGroupName"] for one in found["AutoScalingGroups"]] == ["web-2"]
    by_key = scaling.client.describe_auto_scaling_groups(Filters=[{"Name": "tag-key", "Values": ["release"]}])
    assert len(by_key["AutoScalingGroups"]) == 2


def test_J38_tags_are_created_changed_and_deleted(scaling: Scaling) -> None:
    scaling.create(size=0)
    tag = {"ResourceId": "web-1", "ResourceType": "auto-scaling-group", "Key": "k", "PropagateAtLaunch": True}
    scaling.client.create_or_update_tags(Tags=[{**tag, "Value": "a"}])
    scaling.client.create_or_update_tags(Tags=[{**tag, "Value": "b"}])
    assert scaling.group()["Tags"] == [{**tag, "Value": "b"}]
    filters = [{"Name": "auto-scaling-group", "Values": ["web-1"]}]
    assert scaling.client.describe_tags(Filters=filters)["Tags"] == [{**tag, "Value": "b"}]
    scaling.client.delete_tags(Tags=[tag])
    assert scaling.group()["Tags"] == []


def test_B08_groups_come_in_pages(scaling: Scaling) -> None:
    for number in range(55):
        scaling.create(f"web-{number}", size=0)
    first = scaling.client.describe_auto_scaling_groups()
    assert len(first["AutoScalingGroups"]) == 50
    second = scaling.client.describe_auto_scaling_groups(NextToken=first["NextToken"])
    assert (len(second["AutoScalingGroups"]), "NextToken" in second) == (5, False)
    assert refused(scaling.client.describe_auto_scaling_groups, MaxRecords=101)[0] == "ValidationError"
    assert refused(scaling.client.describe_auto_scaling_groups, NextToken="x")[0] == "InvalidNextToken"


def test_B08_discovery_without_instances_and_instances_without_groups(scaling: Scaling) -> None:
    ids = scaling.created()
    found = scaling.client.describe_auto_scaling_groups(IncludeInstances=False)
    assert found["AutoScalingGroups"][0]["Instances"] == []
    instances = scaling.client.describe_auto_scaling_instances(InstanceIds=ids[:1])["AutoScalingInstances"]
    assert [(one["InstanceId"], one["AutoScalingGroupName"]) for one in instances] == [(ids[0], "web-1")]


def test_B03_unknown_instances_are_refused(scaling: Scaling) -> None:
    end = scaling.client.terminate_instance_in_auto_scaling_group
    message = "Instance Id not found - No managed instance found for instance ID: i-1"
    assert refused(end, InstanceId="i-1", ShouldDecrementDesiredCapacity=False)[1] == message
    ids = scaling.created(size=1, MinSize=1)
    below = refused(end, InstanceId=ids[0], ShouldDecrementDesiredCapacity=True)[1]
    assert below.startswith("Currently, desiredSize equals minSize (1).")
