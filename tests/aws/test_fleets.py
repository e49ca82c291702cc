"""Fleets, on moto and on the sandbox: their state lies in AWS, each change can be repeated and is put back exactly."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shipit import naming
from shipit.aws.activities import kind_of
from shipit.errors import CloudError, NotFound, ShipitError
from shipit.model import Exposure, FailureKind, Fleet, Pin
from shipit.release.act import SUSPENDED_BY_PIN
from tests.contract.clouds import Place, cloud, place
from tests.sandbox.conftest import sandbox

__all__ = ["cloud", "place", "sandbox"]

UNTIL = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
Broken = Callable[[str, str, str], object]


@pytest.fixture
def name(place: Place) -> str:
    """A fleet of two without its pin of birth, as one that serves."""
    launch = place.launch("v1", 2)
    place.fleets.launch(launch)
    place.fleets.unpin(launch.name)
    return launch.name


def fleet(place: Place, name: str) -> Fleet:
    return place.anew().fleets.observe()[name]


def described(place: Place, name: str) -> dict[str, Any]:
    found = place.asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return dict(found[0]) if found else {}


def suspended(place: Place, name: str) -> set[str]:
    return {process["ProcessName"] for process in described(place, name)["SuspendedProcesses"]}


def scheduled(place: Place, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = place.asg.describe_scheduled_actions(AutoScalingGroupName=name)[
        "ScheduledUpdateGroupActions"
    ]
    return found


def sizes(place: Place, name: str) -> tuple[int, int, int]:
    group = described(place, name)
    return group["MinSize"], group["DesiredCapacity"], group["MaxSize"]


def test_only_fleets_of_this_app_and_environment_are_seen(place: Place, name: str) -> None:
    assert set(place.fleets.observe()) == {name}
    other = place.settings.model_copy(update={"app": "somebody-else"})
    assert name not in place.anew(app="somebody-else", settings=other).fleets.observe()


def test_what_does_not_exist_is_not_seen_when_it_is_asked_for(place: Place) -> None:
    assert place.fleets.observe(["nowhere"]) == {}


def test_a_pinned_fleet_cannot_shrink_and_says_so_to_everybody(place: Place, name: str) -> None:
    assert sizes(place, name) == (1, 2, 4)
    place.fleets.pin(name, Pin(1, SUSPENDED_BY_PIN))
    assert sizes(place, name) == (2, 2, 4)
    assert suspended(place, name) == set(SUSPENDED_BY_PIN)
    assert fleet(place, name).pin == Pin(1, SUSPENDED_BY_PIN)


def test_unpinning_puts_everything_back(place: Place, name: str) -> None:
    before = sizes(place, name)
    for _ in range(2):
        place.fleets.pin(name, Pin(1, SUSPENDED_BY_PIN))
    for _ in range(2):
        place.fleets.unpin(name)
    assert sizes(place, name) == before
    assert suspended(place, name) == set()
    assert fleet(place, name).pin is None


def test_processes_that_the_user_had_suspended_stay_suspended(place: Place, name: str) -> None:
    place.asg.suspend_processes(AutoScalingGroupName=name, ScalingProcesses=["AZRebalance", "ScheduledActions"])
    place.fleets.pin(name, Pin(1, SUSPENDED_BY_PIN))
    assert suspended(place, name) == {"AZRebalance", "ScheduledActions", "AlarmNotification"}
    place.fleets.unpin(name)
    assert suspended(place, name) == {"AZRebalance", "ScheduledActions"}


PIN_CALLS = ["CreateOrUpdateTags", "UpdateAutoScalingGroup", "SuspendProcesses"]
UNPIN_CALLS = ["UpdateAutoScalingGroup", "ResumeProcesses", "DeleteTags"]


@pytest.mark.parametrize("operation", PIN_CALLS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_pin_cut_short_anywhere_is_still_put_back_exactly(place: Place, name: str, operation: str, when: str) -> None:
    before = sizes(place, name)
    (place.wire.fail_before if when == "before" else place.wire.fail_after)("autoscaling", operation, "Weird")
    with pytest.raises(CloudError):
        place.fleets.pin(name, Pin(1, SUSPENDED_BY_PIN))
    later = place.anew()
    later.fleets.pin(name, Pin(later.fleets.observe()[name].min_size, SUSPENDED_BY_PIN))
    assert sizes(place, name)[0] == 2
    later.fleets.unpin(name)
    assert sizes(place, name) == before
    assert suspended(place, name) == set()


@pytest.mark.parametrize("operation", UNPIN_CALLS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_unpin_cut_short_anywhere_can_be_finished(place: Place, name: str, operation: str, when: str) -> None:
    before = sizes(place, name)
    place.fleets.pin(name, Pin(1, SUSPENDED_BY_PIN))
    (place.wire.fail_before if when == "before" else place.wire.fail_after)("autoscaling", operation, "Weird")
    with pytest.raises(CloudError):
        place.fleets.unpin(name)
    place.anew().fleets.unpin(name)
    assert (sizes(place, name), suspended(place, name), fleet(place, name).pin) == (before, set(), None)


def test_a_fleet_grows_beyond_its_largest_size_when_it_must(place: Place, name: str) -> None:
    place.fleets.resize(name, 5)
    place.fleets.resize(name, 5)
    assert sizes(place, name) == (1, 5, 5)


def test_a_pinned_fleet_that_grows_stays_pinned(place: Place, name: str) -> None:
    place.fleets.pin(name, Pin(1))
    place.fleets.resize(name, 3)
    assert sizes(place, name) == (3, 3, 4)
    place.fleets.unpin(name)
    assert sizes(place, name) == (1, 3, 4)


def test_parking_schedules_the_end_in_aws_itself(place: Place, name: str) -> None:
    for _ in range(2):
        place.fleets.park(name, UNTIL, 0)
    (action,) = scheduled(place, name)
    assert (action["StartTime"], action["MinSize"], action["DesiredCapacity"]) == (UNTIL, 0, 0)
    assert fleet(place, name).parked_until == UNTIL


def test_unparking_twice_leaves_nothing(place: Place, name: str) -> None:
    place.fleets.park(name, UNTIL, 0)
    for _ in range(2):
        place.fleets.unpark(name)
    assert scheduled(place, name) == []
    assert fleet(place, name).parked_until is None


@pytest.mark.parametrize("when", ["before", "after"])
def test_unparking_cut_short_can_be_finished(place: Place, name: str, when: str) -> None:
    place.fleets.park(name, UNTIL, 0)
    fail = place.wire.fail_before if when == "before" else place.wire.fail_after
    fail("autoscaling", "DeleteScheduledAction", "Weird")
    with pytest.raises(CloudError):
        place.fleets.unpark(name)
    assert fleet(place, name).parked_until, "still known as parked, so that it is unparked once more"
    place.fleets.unpark(name)
    assert scheduled(place, name) == []


def test_a_fleet_that_will_shrink_by_itself_always_says_so(place: Place, name: str) -> None:
    place.wire.fail_before("autoscaling", "CreateOrUpdateTags", "Weird")
    with pytest.raises(CloudError):
        place.fleets.park(name, UNTIL, 0)
    assert not scheduled(place, name) or fleet(place, name).parked_until


@pytest.mark.parametrize("exposure", list(Exposure))
def test_how_much_a_fleet_has_served_is_remembered_in_aws(place: Place, name: str, exposure: Exposure) -> None:
    place.fleets.expose(name, exposure)
    assert fleet(place, name).exposure is exposure


def test_a_fleet_that_drains_is_leaving_and_wants_no_instance(place: Place, name: str) -> None:
    for _ in range(2):
        place.fleets.drain(name)
    seen = fleet(place, name)
    assert (seen.leaving, seen.desired, seen.min_size) == (True, 0, 0)


def test_a_fleet_is_deleted_only_once_it_is_empty(place: Place, name: str) -> None:
    if described(place, name)["Instances"]:
        assert place.fleets.delete(name, at_once=False) is False
        assert place.fleets.observe()[name].whole
    place.fleets.drain(name)
    eventually(place, lambda: not described(place, name)["Instances"])
    eventually(place, lambda: place.fleets.delete(name, at_once=False))
    assert nothing_left(place, name)


def test_a_fleet_that_never_served_is_deleted_at_once(place: Place, name: str) -> None:
    eventually(place, lambda: place.fleets.delete(name, at_once=True))
    assert nothing_left(place, name)
    assert place.fleets.delete(name, at_once=True), "twice is fine"


DELETE_CALLS = [
    ("autoscaling", "DeleteAutoScalingGroup"),
    ("elbv2", "DeleteTargetGroup"),
    ("ec2", "DeleteLaunchTemplate"),
]


@pytest.mark.parametrize(("service", "operation"), DELETE_CALLS, ids=[operation for _, operation in DELETE_CALLS])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_deletion_cut_short_anywhere_is_found_and_finished(
    place: Place, name: str, service: str, operation: str, when: str
) -> None:
    (place.wire.fail_before if when == "before" else place.wire.fail_after)(service, operation, "Weird")
    with pytest.raises(CloudError):
        place.fleets.delete(name, at_once=True)
    place.wire.mend()
    later = place.anew()
    # In this order: what is not found may only be missing because it is gone by now.
    found = name in later.fleets.observe()
    assert found or not described(place, name), "found without knowing its name"
    eventually(place, lambda: later.fleets.delete(name, at_once=True))
    assert nothing_left(place, name)


@pytest.mark.parametrize("code", ["ResourceInUse", "ScalingActivityInProgress", "ResourceContention"])
def test_a_group_that_is_busy_is_asked_again_later(place: Place, name: str, code: str) -> None:
    place.wire.fail_before("autoscaling", "DeleteAutoScalingGroup", code)
    assert place.fleets.delete(name, at_once=True) is False
    eventually(place, lambda: place.fleets.delete(name, at_once=True))


def test_a_fleet_that_is_gone_is_not_resized(place: Place) -> None:
    for act in (lambda: place.fleets.resize("gone", 1), lambda: place.fleets.pin("gone", Pin(1))):
        with pytest.raises(NotFound, match="gone"):
            act()


def test_a_fleet_whose_target_group_is_gone_is_not_whole(place: Place, name: str) -> None:
    place.elb.delete_target_group(TargetGroupArn=place.groups.arn(name))
    later = place.anew()
    assert not later.fleets.with_health(later.fleets.observe()[name]).whole


def test_states_of_instances_that_aws_invents_stop_nothing(place: Place, name: str) -> None:
    def invent(parsed: dict[str, Any], **_: Any) -> None:
        for group in parsed["AutoScalingGroups"]:
            group["Instances"] = [
                {"InstanceId": "i-1", "LifecycleState": "Levitating", "HealthStatus": "Odd", "AvailabilityZone": "a"}
            ]

    place.wire._register("autoscaling", "after-call.{}.DescribeAutoScalingGroups", invent)
    (instance,) = place.fleets.with_health(place.fleets.observe()[name]).instances
    assert not instance.serves
    assert not instance.leaving


BROKEN_TAGS = {
    naming.EXPOSURE: "most",
    naming.PIN: "{",
    naming.PARKED_UNTIL: "tomorrow",
}


@pytest.mark.parametrize("key", BROKEN_TAGS)
def test_a_tag_that_somebody_edited_is_no_bug_of_shipit(place: Place, name: str, key: str) -> None:
    tag = {"ResourceId": name, "ResourceType": "auto-scaling-group", "PropagateAtLaunch": False}
    place.asg.create_or_update_tags(Tags=[{**tag, "Key": key, "Value": BROKEN_TAGS[key]}])
    try:
        place.fleets.observe()
    except ShipitError as error:
        assert name in error.what


MESSAGES = [
    ("We currently do not have sufficient t3.micro capacity in the Availability Zone you requested", "capacity"),
    ("VcpuLimitExceeded", "quota"),
    ("4 instance(s) are already running", "quota"),
    ("The AMI ID 'ami-1' does not exist", "configuration"),
    ("The security group 'sg-1' does not exist. Launching EC2 instance failed.", "configuration"),
    ("Client.InternalError: Client error on launch", "configuration"),
    ("You are not authorized to perform this operation", "permission"),
    ("One or more target groups not found. Validating load balancer configuration failed.", "configuration"),
    ("Invalid IAM Instance Profile name", "other"),
    ("", "other"),
]


@pytest.mark.parametrize(("message", "kind"), MESSAGES)
def test_why_a_launch_failed_is_told_from_the_words_of_aws(message: str, kind: str) -> None:
    assert kind_of(message) is FailureKind(kind)


def test_a_quota_that_speaks_of_capacity_is_a_quota() -> None:
    message = "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket"
    assert kind_of(message) is FailureKind.QUOTA


def test_a_failure_that_a_later_launch_has_cured_is_forgotten(place: Place, name: str) -> None:
    def activities(parsed: dict[str, Any], **_: Any) -> None:
        done = {"StatusCode": "Successful", "Description": "Launching a new EC2 instance: i-2"}
        failed = {"StatusCode": "Failed", "StatusMessage": "You are not authorized", "Description": "Launching"}
        parsed["Activities"] = [done, failed]

    place.wire._register("autoscaling", "after-call.{}.DescribeScalingActivities", activities)
    place.fleets.resize(name, 3)
    seen = place.fleets.observe()[name]
    short = Fleet(**{**seen.__dict__, "desired": 99})
    assert place.fleets.with_health(short).failure is None


def eventually(place: Place, claim: Callable[[], bool]) -> None:
    """AWS needs a moment; on moto everything happens at once."""
    import time

    deadline = time.monotonic() + 30
    while not claim():
        assert time.monotonic() < deadline, "still not true after 30 s"
        time.sleep(0.1)


def nothing_left(place: Place, name: str) -> bool:
    templates = [t["LaunchTemplateName"] for t in place.ec2.describe_launch_templates()["LaunchTemplates"]]
    return not described(place, name) and place.anew().groups.find(name) is None and name not in templates
