# ruff: noqa: N802 - named after the rows of the field notes
"""Instances come, serve and go: rows of field note J, through boto3 and a real moto server."""

from __future__ import annotations

from collections import Counter

import pytest
from botocore.exceptions import ClientError

from .fakes import NO_CAPACITY, Scaling

HOOK = {
    "LifecycleHookName": "warm",
    "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING",
    "HeartbeatTimeout": 60,
}
DRAIN_HOOK = {**HOOK, "LifecycleHookName": "save", "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING"}


def test_J03_scale_in_deregisters_drains_and_then_terminates(scaling: Scaling) -> None:
    ids = scaling.created(size=2)
    scaling.client.set_desired_capacity(AutoScalingGroupName="web-1", DesiredCapacity=1)
    scaling.settle()
    leaving = next(one for one in ids if scaling.instances()[one]["LifecycleState"] == "Terminating")
    assert scaling.targets.states["tg-1"][leaving] == "draining"
    assert scaling.ec2.states[leaving] == "running"
    assert scaling.activities()[0]["StatusCode"] == "WaitingForELBConnectionDraining"

    scaling.targets.drained()
    scaling.settle()
    assert scaling.ec2.states[leaving] == "terminated"
    assert leaving not in scaling.ids()
    assert scaling.activities()[0]["StatusCode"] == "Successful"
    assert scaling.activities()[0]["Description"] == f"Terminating EC2 instance: {leaving}"


def test_J04_instances_arrive_after_the_call_returned(scaling: Scaling) -> None:
    scaling.ec2.boots = False
    scaling.create(size=2)
    assert scaling.group()["Instances"] == []
    scaling.settle()
    assert scaling.lifecycle() == ["Pending", "Pending"]
    assert scaling.targets.states["tg-1"] == {}

    scaling.ec2.states = dict.fromkeys(scaling.ec2.states, "running")
    scaling.settle()
    assert scaling.lifecycle() == ["InService", "InService"]
    assert set(scaling.targets.states["tg-1"]) == set(scaling.ids())


def test_J04_64_instances_come_up_within_a_few_rounds(scaling: Scaling) -> None:
    scaling.create(size=64, MaxSize=64)
    scaling.settle()
    assert scaling.lifecycle() == ["InService"] * 64


def test_J05_activities_say_what_happened_and_why(scaling: Scaling) -> None:
    ids = scaling.created(size=1)
    [activity] = scaling.activities()
    assert activity["StatusCode"] == "Successful"
    assert activity["Progress"] == 100
    assert activity["Description"] == f"Launching a new EC2 instance: {ids[0]}"
    assert "a user request created an AutoScalingGroup changing the desired capacity from 0 to 1." in activity["Cause"]
    assert "increasing the capacity from 0 to 1." in activity["Cause"]


def test_J05_a_failed_launch_is_told_and_tried_again_later(scaling: Scaling) -> None:
    scaling.ec2.refusals["*"] = NO_CAPACITY
    assert scaling.created(size=1) == []
    [failed] = scaling.activities()
    assert failed["StatusCode"] == "Failed"
    assert "do not have sufficient t3.micro capacity" in failed["StatusMessage"]
    assert failed["Description"].startswith("Launching a new EC2 instance.  Status Reason: We currently do not have")

    scaling.ec2.refusals.clear()
    scaling.settle()
    assert scaling.ids() == []
    scaling.clock.pass_seconds(2)
    scaling.settle()
    assert scaling.lifecycle() == ["InService"]


def test_J05_one_zone_without_capacity_moves_launches_to_the_others(scaling: Scaling) -> None:
    scaling.ec2.refusals["subnet-a"] = NO_CAPACITY
    scaling.create(size=4)
    for _ in range(8):
        scaling.settle()
        scaling.clock.pass_seconds(5)
    zones = Counter(one["AvailabilityZone"] for one in scaling.instances().values())
    assert zones == {"eu-west-1b": 2, "eu-west-1c": 2}


def test_J17_a_target_group_deleted_under_the_group_fails_launches(scaling: Scaling) -> None:
    scaling.created(size=1)
    del scaling.targets.states["tg-1"]
    scaling.client.set_desired_capacity(AutoScalingGroupName="web-1", DesiredCapacity=2)
    scaling.settle()
    message = "One or more target groups not found. Validating load balancer configuration failed."
    assert scaling.activities()[0]["StatusMessage"] == message


def test_J22_a_stopped_instance_is_replaced_and_the_new_one_registered(scaling: Scaling) -> None:
    ids = scaling.created(size=2)
    scaling.ec2.states[ids[0]] = "stopped"
    scaling.settle()
    now = scaling.ids()
    assert ids[0] not in now
    assert len(now) == 2
    assert {one for one, state in scaling.targets.states["tg-1"].items() if state == "healthy"} == set(now)
    launched, terminated = scaling.activities()[:2]
    assert "in response to an unhealthy instance needing to be replaced" in launched["Cause"]
    assert "EC2 health check indicating it has been terminated or stopped" in terminated["Cause"]


def test_J22_elb_health_replaces_after_the_grace_period(scaling: Scaling) -> None:
    ids = scaling.created(size=2, HealthCheckType="ELB", HealthCheckGracePeriod=100)
    scaling.targets.states["tg-1"][ids[0]] = "unhealthy"
    scaling.settle()
    assert scaling.lifecycle() == ["InService", "InService"]

    scaling.clock.pass_seconds(101)
    scaling.settle()
    assert scaling.instances()[ids[0]]["HealthStatus"] == "Unhealthy"
    assert scaling.instances()[ids[0]]["LifecycleState"] == "Terminating"
    assert Counter(scaling.lifecycle())["InService"] == 2


def test_J22_elb_health_of_an_attached_group_counts_once_something_passed(scaling: Scaling) -> None:
    scaling.targets.first_state = "unhealthy"
    scaling.created(size=1, HealthCheckType="ELB", TargetGroupARNs=None)
    scaling.client.attach_load_balancer_target_groups(AutoScalingGroupName="web-1", TargetGroupARNs=["tg-1"])
    scaling.settle()
    assert scaling.lifecycle() == ["InService"]


def test_J22_health_set_by_a_user_replaces(scaling: Scaling) -> None:
    ids = scaling.created(size=1, TargetGroupARNs=None)
    scaling.client.set_instance_health(InstanceId=ids[0], HealthStatus="Unhealthy")
    scaling.settle()
    assert scaling.ids() != ids
    assert scaling.lifecycle() == ["InService"]


def test_J22_health_set_by_a_user_respects_the_grace_period(scaling: Scaling) -> None:
    ids = scaling.created(size=1, HealthCheckGracePeriod=60)
    scaling.client.set_instance_health(InstanceId=ids[0], HealthStatus="Unhealthy")
    scaling.settle()
    assert scaling.instances()[ids[0]]["HealthStatus"] == "Healthy"


def test_J23_instances_are_spread_over_zones(scaling: Scaling) -> None:
    scaling.created(size=6, MaxSize=6)
    zones = Counter(one["AvailabilityZone"] for one in scaling.instances().values())
    assert set(zones.values()) == {2}


def test_J23_scale_in_takes_from_the_fullest_zone(scaling: Scaling) -> None:
    scaling.created(size=4, TargetGroupARNs=None)
    scaling.client.set_desired_capacity(AutoScalingGroupName="web-1", DesiredCapacity=3)
    scaling.settle()
    zones = Counter(one["AvailabilityZone"] for one in scaling.instances().values())
    assert set(zones.values()) == {1}


def test_J24_new_template_versions_are_launched_and_the_old_go_first(scaling: Scaling) -> None:
    old = scaling.created(size=1, VPCZoneIdentifier="subnet-a", TargetGroupARNs=None)
    scaling.client.update_auto_scaling_group(
        AutoScalingGroupName="web-1",
        LaunchTemplate={"LaunchTemplateName": "web", "Version": "2"},
        DesiredCapacity=2,
    )
    scaling.settle()
    versions = {key: one["LaunchTemplate"]["Version"] for key, one in scaling.instances().items()}
    assert sorted(versions.values()) == ["1", "2"]
    scaling.client.set_desired_capacity(AutoScalingGroupName="web-1", DesiredCapacity=1)
    scaling.settle()
    assert old[0] not in scaling.ids()


@pytest.mark.parametrize(
    ("process", "lifecycle"),
    [("Launch", []), ("AddToLoadBalancer", ["InService"]), ("AZRebalance", ["InService"])],
)
def test_J25_suspended_processes_have_effect_on_launches(scaling: Scaling, process: str, lifecycle: list[str]) -> None:
    scaling.created(size=0)
    scaling.client.suspend_processes(AutoScalingGroupName="web-1", ScalingProcesses=[process])
    scaling.client.set_desired_capacity(AutoScalingGroupName="web-1", DesiredCapacity=1)
    scaling.settle()
    assert scaling.lifecycle() == lifecycle
    assert bool(scaling.targets.states["tg-1"]) == (process == "AZRebalance")


def test_J25_what_add_to_load_balancer_missed_is_not_made_up_for(scaling: Scaling) -> None:
    scaling.created(size=0)
    scaling.client.suspend_processes(AutoScalingGroupName="web-1", ScalingProcesses=["AddToLoadBalancer"])
    scaling.client.set_desired_capacity(AutoScalingGroupName="web-1", DesiredCapacity=1)
    scaling.settle()
    scaling.client.resume_processes(AutoScalingGroupName="web-1", ScalingProcesses=["AddToLoadBalancer"])
    scaling.settle()
    assert scaling.targets.states["tg-1"] == {}


@pytest.mark.parametrize("process", ["Terminate", "ReplaceUnhealthy", "HealthCheck"])
def test_J25_suspended_processes_keep_unhealthy_instances(scaling: Scaling, process: str) -> None:
    ids = scaling.created(size=1)
    scaling.client.suspend_processes(AutoScalingGroupName="web-1", ScalingProcesses=[process])
    scaling.ec2.states[ids[0]] = "stopped"
    scaling.settle()
    assert scaling.instances()[ids[0]]["HealthStatus"] == ("Healthy" if process == "HealthCheck" else "Unhealthy")
    assert scaling.lifecycle() == ["InService"]


def test_J26_a_launch_hook_holds_until_it_is_completed(scaling: Scaling) -> None:
    ids = scaling.created(size=1, LifecycleHookSpecificationList=[HOOK])
    assert scaling.lifecycle() == ["Pending:Wait"]
    assert scaling.targets.states["tg-1"] == {}
    scaling.client.complete_lifecycle_action(
        AutoScalingGroupName="web-1",
        LifecycleHookName="warm",
        InstanceId=ids[0],
        LifecycleActionResult="CONTINUE",
    )
    scaling.settle()
    assert scaling.lifecycle() == ["InService"]


def test_J26_a_launch_hook_that_times_out_abandons_the_instance(scaling: Scaling) -> None:
    ids = scaling.created(size=1, LifecycleHookSpecificationList=[HOOK])
    scaling.clock.pass_seconds(50)
    scaling.client.record_lifecycle_action_heartbeat(
        AutoScalingGroupName="web-1", LifecycleHookName="warm", InstanceId=ids[0]
    )
    scaling.clock.pass_seconds(50)
    scaling.settle()
    assert scaling.ids() == ids
    scaling.clock.pass_seconds(20)
    scaling.settle()
    assert scaling.ec2.states[ids[0]] == "terminated"
    assert scaling.lifecycle() == ["Pending:Wait"]
    assert any(
        one["StatusCode"] == "Failed" and "was abandoned" in one["StatusMessage"] for one in scaling.activities()
    )


def test_J26_a_termination_hook_holds_after_draining(scaling: Scaling) -> None:
    ids = scaling.created(size=1, LifecycleHookSpecificationList=[DRAIN_HOOK])
    scaling.client.set_desired_capacity(AutoScalingGroupName="web-1", DesiredCapacity=0)
    scaling.settle()
    assert scaling.lifecycle() == ["Terminating"]
    scaling.targets.drained()
    scaling.settle()
    assert scaling.lifecycle() == ["Terminating:Wait"]
    scaling.client.delete_lifecycle_hook(AutoScalingGroupName="web-1", LifecycleHookName="save")
    scaling.settle()
    assert scaling.ec2.states[ids[0]] == "terminated"
    assert scaling.ids() == []


def test_J26_completing_an_action_that_nobody_waits_for_is_refused(scaling: Scaling) -> None:
    ids = scaling.created(size=1)
    with pytest.raises(ClientError, match="No active Lifecycle Action found with instance ID"):
        scaling.client.complete_lifecycle_action(
            AutoScalingGroupName="web-1",
            LifecycleHookName="warm",
            InstanceId=ids[0],
            LifecycleActionResult="CONTINUE",
        )


def test_J37_attachments_go_from_adding_over_added_to_in_service(scaling: Scaling) -> None:
    scaling.created(size=1, HealthCheckType="ELB")
    scaling.targets.first_state = "initial"
    scaling.client.attach_load_balancer_target_groups(AutoScalingGroupName="web-1", TargetGroupARNs=["tg-2"])
    assert _states(scaling) == {"tg-1": "InService", "tg-2": "Adding"}
    scaling.settle()
    assert _states(scaling) == {"tg-1": "InService", "tg-2": "Added"}
    scaling.targets.states["tg-2"][scaling.ids()[0]] = "healthy"
    scaling.settle()
    assert _states(scaling) == {"tg-1": "InService", "tg-2": "InService"}


def test_J37_a_detached_target_group_is_removing_until_its_targets_drained(scaling: Scaling) -> None:
    scaling.created(size=1)
    scaling.client.detach_load_balancer_target_groups(AutoScalingGroupName="web-1", TargetGroupARNs=["tg-1"])
    scaling.settle()
    assert _states(scaling) == {"tg-1": "Removing"}
    assert scaling.group()["TargetGroupARNs"] == []
    scaling.targets.drained()
    scaling.settle()
    assert _states(scaling) == {}
    assert scaling.lifecycle() == ["InService"]


def test_B06_protected_instances_survive_a_scale_in(scaling: Scaling) -> None:
    scaling.created(size=2, NewInstancesProtectedFromScaleIn=True, TargetGroupARNs=None)
    scaling.client.set_desired_capacity(AutoScalingGroupName="web-1", DesiredCapacity=0)
    scaling.settle()
    assert scaling.group()["DesiredCapacity"] == 0
    assert scaling.lifecycle() == ["InService", "InService"]
    scaling.client.set_instance_protection(
        AutoScalingGroupName="web-1", InstanceIds=scaling.ids(), ProtectedFromScaleIn=False
    )
    scaling.settle()
    assert scaling.ids() == []


def test_B06_an_instance_ended_by_hand_is_replaced_or_not(scaling: Scaling) -> None:
    ids = scaling.created(size=2, TargetGroupARNs=None)
    end = scaling.client.terminate_instance_in_auto_scaling_group
    answer = end(InstanceId=ids[0], ShouldDecrementDesiredCapacity=True)
    assert answer["Activity"]["Description"] == f"Terminating EC2 instance: {ids[0]}"
    scaling.settle()
    assert scaling.ids() == [ids[1]]
    end(InstanceId=ids[1], ShouldDecrementDesiredCapacity=False)
    scaling.settle()
    assert len(scaling.ids()) == 1
    assert scaling.ids() != [ids[1]]


def test_B01_tags_reach_the_instances(scaling: Scaling) -> None:
    tags = [
        {"Key": "app", "Value": "web", "PropagateAtLaunch": True},
        {"Key": "note", "Value": "x", "PropagateAtLaunch": False},
    ]
    ids = scaling.created(size=1, Tags=tags)
    assert scaling.ec2.requests[ids[0]].tags == {"app": "web", "aws:autoscaling:groupName": "web-1"}


def _states(scaling: Scaling) -> dict[str, str]:
    found = scaling.client.describe_load_balancer_target_groups(AutoScalingGroupName="web-1")
    return {one["LoadBalancerTargetGroupARN"]: one["State"] for one in found["LoadBalancerTargetGroups"]}
