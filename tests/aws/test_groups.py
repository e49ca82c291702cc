"""Target groups, on moto and on the sandbox: proved by tags, adopted after a lost answer, never taken from others."""

from __future__ import annotations

import pytest

from shipit import naming
from shipit.aws.groups import TargetGroups
from shipit.errors import CloudError, NotFound, Refused
from shipit.model import Split, TargetState
from tests.contract.clouds import ENV, Place, cloud, place
from tests.sandbox.conftest import sandbox

__all__ = ["cloud", "place", "sandbox"]


def tags_of(place: Place, name: str) -> list[dict[str, str]]:
    values = {naming.APP: place.app, naming.ENV: ENV, naming.FLEET: name}
    return [{"Key": key, "Value": value} for key, value in values.items()]


def make(place: Place, name: str) -> str:
    arn = place.groups.create(name, tags_of(place, name))
    place.made.append(arn)
    return arn


def test_a_group_is_made_with_the_health_check_of_the_settings(place: Place) -> None:
    arn = make(place, "one")
    (found,) = place.elb.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"]
    health = place.settings.health
    assert found["HealthCheckPath"] == "/healthz"
    assert found["HealthCheckIntervalSeconds"] == health.interval_seconds
    assert found["HealthCheckTimeoutSeconds"] == health.timeout_seconds
    assert (found["HealthyThresholdCount"], found["UnhealthyThresholdCount"]) == (2, 2)
    assert found["Matcher"]["HttpCode"] == "200"
    assert (found["Port"], found["VpcId"]) == (8080, place.cloud.vpc)


def test_the_draining_time_is_that_of_the_settings(place: Place) -> None:
    arn = make(place, "one")
    found = place.elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
    values = {attribute["Key"]: attribute["Value"] for attribute in found}
    assert values["deregistration_delay.timeout_seconds"] == str(place.settings.traffic.drain_seconds)


def test_making_it_twice_gives_the_same_group(place: Place) -> None:
    assert make(place, "one") == make(place, "one") == place.anew().groups.arn("one")


def test_a_group_whose_making_was_reported_as_failed_is_adopted(place: Place) -> None:
    place.wire.fail_after("elbv2", "CreateTargetGroup", "DuplicateTargetGroupName")
    arn = make(place, "one")
    assert place.anew().groups.arn("one") == arn


def test_a_group_with_other_settings_is_adopted_when_its_tags_are_ours(place: Place) -> None:
    arn = place.raw_group("one", tags_of(place, "one"))
    assert make(place, "one") == arn


def test_a_group_of_somebody_else_is_refused(place: Place) -> None:
    place.group("one", foreign=True)
    with pytest.raises(Refused, match=f"not {place.app}'s"):
        place.groups.create("one", tags_of(place, "one"))
    with pytest.raises(Refused):
        place.groups.find("one")
    with pytest.raises(Refused):
        place.groups.delete("one")
    assert place.elb.describe_target_groups(Names=["one"])["TargetGroups"]


def test_a_group_without_any_tag_is_somebody_elses(place: Place) -> None:
    place.raw_group("one", [{"Key": "Name", "Value": "one"}])
    with pytest.raises(Refused):
        place.groups.find("one")


def test_a_group_that_does_not_exist_is_not_found(place: Place) -> None:
    assert place.groups.find("nowhere") is None
    with pytest.raises(NotFound, match="nowhere"):
        place.groups.arn("nowhere")


def test_another_error_gets_out_with_its_code(place: Place) -> None:
    place.wire.fail_before("elbv2", "CreateTargetGroup", "TooManyTargetGroups")
    with pytest.raises(CloudError) as raised:
        place.groups.create("one", tags_of(place, "one"))
    assert raised.value.code == "TooManyTargetGroups"


def test_deleting_it_twice_is_fine(place: Place) -> None:
    make(place, "one")
    assert place.groups.delete("one")
    assert place.groups.delete("one")
    assert place.groups.find("one") is None


def test_a_group_that_a_rule_still_names_is_not_gone(place: Place) -> None:
    make(place, "one")
    place.shift(Split({"one": 100}))
    assert place.groups.delete("one") is False
    assert place.anew().groups.find("one")


def test_a_group_that_is_gone_when_its_health_is_asked_for_is_not_found(place: Place) -> None:
    arn = make(place, "one")
    place.elb.delete_target_group(TargetGroupArn=arn)
    with pytest.raises(NotFound):
        place.groups.health("one")


def test_an_empty_group_has_no_health(place: Place) -> None:
    make(place, "one")
    assert place.groups.health("one") == {}


def test_states_that_aws_invents_are_unknown_and_stop_nothing(place: Place) -> None:
    make(place, "one")

    def invent(parsed: dict[str, object], **_: object) -> None:
        health = {"State": "glowing", "Reason": "Target.Glows"}
        parsed["TargetHealthDescriptions"] = [{"Target": {"Id": "i-1", "Port": 1}, "TargetHealth": health}]

    place.wire._register("elbv2", "after-call.{}.DescribeTargetHealth", invent)
    assert place.groups.health("one") == {"i-1": (TargetState.UNKNOWN, "Target.Glows", "")}


def test_tags_are_read_twenty_at_a_time(place: Place) -> None:
    groups: TargetGroups = place.groups
    calls = place.wire.count("elbv2", "DescribeTags")
    groups.prove([place.group(f"{place.app}-{number}") for number in range(23)])
    assert max(len(call["ResourceArns"]) for call in calls) <= 20
