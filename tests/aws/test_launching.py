"""How a fleet is made: what its parts look like, and that a launch cut short anywhere can be finished."""

from __future__ import annotations

import base64
import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shipit import naming
from shipit.aws.session import Session
from shipit.errors import CloudError, Refused, ShipitError, UsageError
from shipit.model import Exposure
from shipit.sandbox.state import State
from shipit.settings import Settings
from tests.contract.clouds import ENV, Place, cloud, place, settings_of
from tests.sandbox.conftest import sandbox

__all__ = ["cloud", "place", "sandbox"]


def template_of(place: Place, name: str) -> dict[str, Any]:
    found = place.ec2.describe_launch_template_versions(LaunchTemplateName=name)["LaunchTemplateVersions"]
    data: dict[str, Any] = found[0]["LaunchTemplateData"]
    return data


def test_a_launch_makes_a_fleet_that_can_be_observed(place: Place) -> None:
    launch = place.launch("v1", 2)
    place.fleets.launch(launch)
    (fleet,) = place.anew().fleets.observe().values()
    assert (fleet.name, fleet.version, fleet.image_id) == (launch.name, launch.version, launch.image_id)
    assert (fleet.desired, fleet.min_size, fleet.max_size) == (2, 2, 4)
    assert (fleet.exposure, fleet.whole, fleet.leaving) == (Exposure.NONE, True, False)
    assert fleet.launch_digest == "digest"
    assert fleet.pin is not None
    assert fleet.pin.min_size == 1


def test_launching_twice_makes_one_fleet(place: Place) -> None:
    place.fleets.launch(place.launch())
    before = place.fleets.observe()
    place.anew().fleets.launch(place.launch())
    after = place.fleets.observe()
    assert set(before) == set(after) == {place.launch().name}


CALLS = [("ec2", "CreateLaunchTemplate"), ("elbv2", "CreateTargetGroup"), ("autoscaling", "CreateAutoScalingGroup")]


@pytest.mark.parametrize(("service", "operation"), CALLS, ids=[operation for _, operation in CALLS])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_launch_cut_short_is_found_and_finished(place: Place, service: str, operation: str, when: str) -> None:
    launch = place.launch()
    fail = place.wire.fail_before if when == "before" else place.wire.fail_after
    struck = fail(service, operation, "InternalFailure")
    with pytest.raises(CloudError):
        place.fleets.launch(launch)
    assert struck
    place.wire.mend()
    later = place.anew()
    seen = later.fleets.observe([launch.name]).get(launch.name)
    nothing_made = (operation, when) == ("CreateLaunchTemplate", "before")
    assert (seen is None) is nothing_made
    later.fleets.launch(launch)
    assert later.fleets.observe()[launch.name].whole


def test_a_launch_that_nobody_remembers_is_found_by_its_tags_once_it_is_old(place: Place) -> None:
    launch = place.launch()
    place.wire.fail_before("autoscaling", "CreateAutoScalingGroup", "InternalFailure")
    with pytest.raises(CloudError):
        place.fleets.launch(launch)
    now = datetime.now(UTC)
    later = place.anew()
    assert launch.name not in later.fleets.strays(now - timedelta(hours=1)), "somebody may be at it right now"
    assert launch.name in later.fleets.strays(now + timedelta(hours=1))


def test_a_fleet_with_its_group_is_no_stray(place: Place) -> None:
    launch = place.launch()
    place.fleets.launch(launch)
    assert launch.name not in place.fleets.strays(datetime.now(UTC) + timedelta(hours=1))


@pytest.mark.parametrize(("service", "operation"), CALLS, ids=[operation for _, operation in CALLS])
def test_a_launch_cut_short_leaves_nothing_when_it_is_given_up(place: Place, service: str, operation: str) -> None:
    launch = place.launch()
    place.wire.fail_before(service, operation, "InternalFailure")
    with pytest.raises(CloudError):
        place.fleets.launch(launch)
    later = place.anew()
    assert later.fleets.delete(launch.name, at_once=True)
    assert later.fleets.observe([launch.name]) == {}
    assert later.groups.find(launch.name) is None
    names = [t["LaunchTemplateName"] for t in place.ec2.describe_launch_templates()["LaunchTemplates"]]
    assert launch.name not in names


def test_a_group_that_an_earlier_try_made_is_adopted(place: Place) -> None:
    launch = place.launch()
    place.wire.fail_after("autoscaling", "CreateAutoScalingGroup", "AlreadyExists")
    place.fleets.launch(launch)
    assert place.fleets.observe()[launch.name].whole


def test_a_template_that_is_not_visible_yet_is_waited_for(place: Place) -> None:
    struck: list[int] = []

    def not_visible(**_: Any) -> Any:
        if len(struck) < 2:
            struck.append(1)
            text = "You must use a valid fully-formed launch template. The specified launch template does not exist."
            error = {"Error": {"Code": "ValidationError", "Message": text}, "ResponseMetadata": {}}
            return type("Http", (), {"status_code": 400}), error
        return None

    place.wire._register("autoscaling", "before-call.{}.CreateAutoScalingGroup", not_visible)
    place.fleets.launch(place.launch())
    assert len(struck) == 2
    assert place.fleets.observe()[place.launch().name].whole


def test_everything_carries_its_tags_from_the_start(place: Place) -> None:
    launch = place.launch()
    place.fleets.launch(launch)
    (template,) = place.ec2.describe_launch_templates(LaunchTemplateNames=[launch.name])["LaunchTemplates"]
    (group,) = place.asg.describe_auto_scaling_groups(AutoScalingGroupNames=[launch.name])["AutoScalingGroups"]
    described = place.elb.describe_tags(ResourceArns=[place.groups.arn(launch.name)])["TagDescriptions"][0]
    wanted = {naming.APP: place.app, naming.ENV: ENV, naming.FLEET: launch.name, naming.VERSION: "v1"}
    for tags in (template["Tags"], group["Tags"], described["Tags"]):
        found = {tag["Key"]: tag["Value"] for tag in tags}
        assert wanted.items() <= found.items()


def test_state_of_the_fleet_is_not_copied_to_its_instances(place: Place) -> None:
    launch = place.launch()
    place.fleets.launch(launch)
    (group,) = place.asg.describe_auto_scaling_groups(AutoScalingGroupNames=[launch.name])["AutoScalingGroups"]
    propagated = {tag["Key"]: tag["PropagateAtLaunch"] for tag in group["Tags"]}
    assert not propagated[naming.PIN]
    assert not propagated[naming.EXPOSURE]
    assert propagated[naming.APP]


def test_instances_need_a_session_for_their_metadata(place: Place) -> None:
    launch = place.launch()
    place.fleets.launch(launch)
    data = template_of(place, launch.name)
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert launch.name in base64.b64decode(data["UserData"]).decode()


def test_health_is_judged_by_the_balancer(place: Place) -> None:
    launch = place.launch()
    place.fleets.launch(launch)
    (group,) = place.asg.describe_auto_scaling_groups(AutoScalingGroupNames=[launch.name])["AutoScalingGroups"]
    assert group["HealthCheckType"] == "ELB"
    assert group["HealthCheckGracePeriod"] == 120
    assert group["TargetGroupARNs"] == [place.groups.arn(launch.name)]
    assert set(group["VPCZoneIdentifier"].split(",")) == set(place.cloud.subnets)


def test_a_template_of_somebody_else_is_refused_and_stays(place: Place) -> None:
    launch = place.launch()
    tags = [{"Key": naming.APP, "Value": "somebody-else"}]
    place.ec2.create_launch_template(
        LaunchTemplateName=launch.name,
        LaunchTemplateData={"InstanceType": "t3.nano"},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": tags}],
    )
    with pytest.raises(Refused, match="launch template"):
        place.fleets.launch(launch)
    assert template_of(place, launch.name)["InstanceType"] == "t3.nano"


def test_giving_up_does_not_delete_the_template_of_somebody_else(place: Place) -> None:
    name = place.launch().name
    place.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData={"InstanceType": "t3.nano"})
    try:
        if name in place.fleets.observe([name]):
            place.fleets.delete(name, at_once=True)
    except ShipitError:
        pass  # a refusal would do
    assert place.ec2.describe_launch_templates(LaunchTemplateNames=[name])["LaunchTemplates"]


@pytest.mark.sandbox
def test_deleting_a_template_that_is_gone_is_fine(sandbox: State) -> None:
    keys = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "sandbox"}
    ec2 = Session(sandbox.region, None, endpoint_url=sandbox.endpoint_url, **keys).client("ec2")
    with pytest.raises(ClientError) as raised:
        ec2.delete_launch_template(LaunchTemplateName="gone")
    assert raised.value.response["Error"]["Code"] == "InvalidLaunchTemplateName.NotFoundException"


def foreign_group(place: Place, name: str) -> None:
    place.ec2.create_launch_template(
        LaunchTemplateName=f"{name}-x", LaunchTemplateData={"InstanceType": "t3.nano", "ImageId": place.cloud.image}
    )
    place.asg.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate={"LaunchTemplateName": f"{name}-x", "Version": "1"},
        MinSize=0,
        MaxSize=0,
        VPCZoneIdentifier=place.cloud.subnets[0],
    )


def test_a_group_of_somebody_else_is_refused(place: Place) -> None:
    if place.cloud.kind == "moto":
        pytest.skip("moto makes a second group of the same name")
    launch = place.launch()
    foreign_group(place, launch.name)
    with pytest.raises(Refused, match="exists and is not what this release wants"):
        place.fleets.launch(launch)


def test_giving_up_does_not_delete_the_group_of_somebody_else(place: Place) -> None:
    name = place.launch().name
    foreign_group(place, name)
    with contextlib.suppress(ShipitError):  # a refusal would do
        place.fleets.delete(name, at_once=True)
    found = place.asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    assert found
    assert not found[0].get("Status")


def test_a_fleet_without_subnets_is_a_usage_error_that_makes_nothing(place: Place) -> None:
    bare = place.anew(settings=Settings(app=place.app))
    with pytest.raises(UsageError, match="subnets"):
        bare.fleets.launch(place.launch())
    assert place.fleets.observe([place.launch().name]) == {}


def test_a_launch_larger_than_the_largest_size_of_the_settings_raises_the_limit(place: Place) -> None:
    small = place.anew(
        settings=settings_of(place.cloud, place.app).model_copy(
            update={"fleet": place.settings.fleet.model_copy(update={"max_size": 1})}
        )
    )
    small.fleets.launch(place.launch("v1", 2))
    assert small.fleets.observe()[place.launch().name].max_size == 2
