"""Leftovers of bakes, against moto in this process: what is marked and ours goes, everything else stays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from shipit.aws.builders import AwsBuilders
from shipit.aws.session import Session

MINE, OTHERS = "shipit-bake:hello:20261122T101500Z:31m:a.00:1:n", "shipit-bake:hello:20261122T101500Z:31m:b.00:1:n"
GROUP = "packer_6b0369fb-ea9e-f075-0482-a700b14fea5f"


@pytest.fixture
def session() -> Iterator[Session]:
    with mock_aws():
        yield Session("us-east-1", None, aws_access_key_id="x", aws_secret_access_key="y")


@pytest.fixture
def ec2(session: Session) -> Any:
    return session.client("ec2")


def start(ec2: Any, mark: str, group: str | None = None, fingerprint: str = "f") -> str:
    source = ec2.register_image(Name=f"source of {mark}", RootDeviceName="/dev/xvda")["ImageId"]
    groups = (
        [ec2.create_security_group(GroupName=group, Description="Temporary group for Packer")["GroupId"]]
        if group
        else []
    )
    tags = [{"Key": "shipit:bake", "Value": mark}, {"Key": "shipit:fingerprint", "Value": fingerprint}]
    made = ec2.run_instances(
        ImageId=source,
        MinCount=1,
        MaxCount=1,
        SecurityGroupIds=groups,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    return str(made["Instances"][0]["InstanceId"])


def running(ec2: Any) -> set[str]:
    pages = ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
    return {instance["InstanceId"] for item in pages["Reservations"] for instance in item["Instances"]}


def test_instance_key_pair_and_group_of_a_bake_are_removed_and_no_other(session: Session, ec2: Any) -> None:
    mine, other = start(ec2, MINE, GROUP), start(ec2, OTHERS)
    for name in (MINE, OTHERS, "somebodys"):
        ec2.create_key_pair(KeyName=name)
    ec2.create_security_group(GroupName="packer_somebodys", Description="x")
    removed = AwsBuilders(session).sweep(lambda mark: mark == MINE)
    assert [text.split()[0] for text in removed] == ["instance", "key", "security"]
    assert mine in removed[0]
    assert running(ec2) == {other}
    assert {key["KeyName"] for key in ec2.describe_key_pairs()["KeyPairs"]} == {OTHERS, "somebodys"}
    names = {group["GroupName"] for group in ec2.describe_security_groups()["SecurityGroups"]}
    assert GROUP not in names
    assert "packer_somebodys" in names


def test_sweeping_again_finds_nothing(session: Session, ec2: Any) -> None:
    start(ec2, MINE, GROUP)
    builders = AwsBuilders(session)
    builders.sweep(lambda _: True)
    assert list(builders.sweep(lambda _: True)) == []


def test_a_claimed_group_is_swept_although_no_instance_ever_used_it(session: Session, ec2: Any) -> None:
    ec2.create_security_group(GroupName=GROUP, Description="Temporary group for Packer")
    builders = AwsBuilders(session)
    builders.claim(MINE, [GROUP, "packer_not_there"])
    builders.claim(OTHERS, [GROUP])
    assert builders.sweep(lambda mark: mark == OTHERS) == []
    assert len(builders.sweep(lambda mark: mark == MINE)) == 1


def test_running_builders_of_a_fingerprint_are_known_by_their_marks(session: Session, ec2: Any) -> None:
    start(ec2, MINE, fingerprint="f")
    start(ec2, OTHERS, fingerprint="g")
    assert AwsBuilders(session).marks("f") == [MINE]


def test_a_child_gets_our_credentials_and_region(session: Session) -> None:
    given = AwsBuilders(session).credentials()
    assert given["AWS_ACCESS_KEY_ID"] == "x"
    assert given["AWS_SECRET_ACCESS_KEY"] == "y"
    assert given["AWS_REGION"] == given["AWS_DEFAULT_REGION"] == "us-east-1"


def test_awss_own_endpoint_is_not_passed_on_but_any_other_is(session: Session) -> None:
    assert AwsBuilders(session).endpoint() is None
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y"}
    elsewhere = Session("us-east-1", None, endpoint_url="http://127.0.0.1:4566", **keys)
    assert AwsBuilders(elsewhere).endpoint() == "http://127.0.0.1:4566"
