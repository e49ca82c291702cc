"""AMIs, against moto in this process."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from moto import mock_aws

from shipit.aws.images import AwsImages
from shipit.aws.session import Session
from shipit.errors import BakeError, CloudError, NotFound, UsageError
from shipit.ports import SourceQuery
from tests.fakes.cloud import FakeClock

TAGS = {"shipit:app": "hello", "shipit:version": "v1", "shipit:commit": "c" * 40, "shipit:fingerprint": "f" * 64}


@pytest.fixture
def ec2() -> Iterator[Any]:
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    with mock_aws():
        yield Session("us-east-1", None, **keys)


@pytest.fixture
def images(ec2: Session) -> AwsImages:
    return AwsImages(ec2, "hello", FakeClock())


def publish(session: Session, name: str) -> str:
    made = session.client("ec2").register_image(Name=name, Architecture="x86_64", RootDeviceName="/dev/xvda")
    return str(made["ImageId"])


def make(session: Session, name: str = "hello-1") -> str:
    ec2 = session.client("ec2")
    source = publish(session, f"source of {name}")
    instance = ec2.run_instances(ImageId=source, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    return str(ec2.create_image(InstanceId=instance, Name=name)["ImageId"])


def test_an_image_is_found_by_fingerprint_name_and_id(ec2: Session, images: AwsImages) -> None:
    image_id = make(ec2)
    images.tag(image_id, TAGS)
    by_fingerprint, by_name, by_id = images.by_fingerprint("f" * 64), images.by_name("hello-1"), images.by_id(image_id)
    assert by_fingerprint == by_name == by_id
    assert by_id is not None
    assert (by_id.version.name, by_id.version.commit, by_id.state) == ("v1", "c" * 40, "available")
    assert by_id.created_at is not None
    assert by_id.created_at.tzinfo is not None


def test_what_does_not_exist_is_none(images: AwsImages) -> None:
    assert images.by_fingerprint("0" * 64) is None
    assert images.by_name("nothing") is None
    assert images.by_id("ami-00000000000000000") is None


def test_images_of_other_apps_are_not_ours(ec2: Session, images: AwsImages) -> None:
    image_id = make(ec2)
    AwsImages(ec2, "other", FakeClock()).tag(image_id, {**TAGS, "shipit:app": "other"})
    assert images.all() == []
    assert images.by_fingerprint("f" * 64) is None


def test_snapshots_are_tagged_too_and_the_first_tags_stay(ec2: Session, images: AwsImages) -> None:
    image_id = make(ec2)
    images.tag(image_id, TAGS)
    images.tag(image_id, {**TAGS, "shipit:version": "v2", "shipit:more": "x"})
    record = ec2.client("ec2").describe_images(ImageIds=[image_id])["Images"][0]
    snapshot = record["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    for found in (record, ec2.client("ec2").describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]):
        tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
        assert tags["shipit:version"] == "v1"
        assert tags["shipit:more"] == "x"


def test_tagging_an_image_that_has_vanished_is_an_error(images: AwsImages) -> None:
    with pytest.raises(NotFound):
        images.tag("ami-00000000000000000", TAGS)


def test_the_newest_source_image_of_that_name_wins(ec2: Session, images: AwsImages) -> None:
    old, new = publish(ec2, "debian-12-amd64-1"), publish(ec2, "debian-12-amd64-2")
    publish(ec2, "ubuntu")
    from moto.ec2.models import ec2_backends

    amis = ec2_backends["123456789012"]["us-east-1"].amis
    amis[old].creation_date = datetime(2020, 1, 1)
    for image_id in (old, new):
        amis[image_id].architecture = "x86_64"  # which moto does not store
    assert images.source(SourceQuery(None, "debian-12-amd64-*", ["self"], "x86_64")) == new


def test_a_fixed_source_image_is_taken_as_it_is(images: AwsImages) -> None:
    assert images.source(SourceQuery("ami-1", None, [], "x86_64")) == "ami-1"


def test_a_source_image_that_nobody_published_is_an_error(images: AwsImages) -> None:
    with pytest.raises(UsageError, match=r"no AMI is called nothing-\*") as caught:
        images.source(SourceQuery(None, "nothing-*", ["amazon"], "arm64"))
    assert "arm64" in caught.value.why


def set_state(session: Session, image_id: str, state: str) -> None:
    from moto.ec2.models import ec2_backends

    ec2_backends["123456789012"]["us-east-1"].amis[image_id].state = state


def test_a_pending_image_is_waited_for_with_the_reason_shown(ec2: Session) -> None:
    clock = FakeClock()
    images = AwsImages(ec2, "hello", clock)
    image_id = make(ec2)
    set_state(ec2, image_id, "pending")
    clock.on_sleep.append(lambda: set_state(ec2, image_id, "available"))
    told: list[str] = []
    assert images.settle(image_id, 60, told.append).state == "available"
    assert told == [f"image {image_id} is pending"]


def test_an_image_that_never_becomes_available_is_an_error_after_the_deadline(ec2: Session) -> None:
    clock = FakeClock()
    image_id = make(ec2)
    set_state(ec2, image_id, "pending")
    began = clock.now()
    with pytest.raises(BakeError, match="does not become available") as caught:
        AwsImages(ec2, "hello", clock).settle(image_id, 60, lambda _: None)
    assert "time is up" in caught.value.why
    assert timedelta(seconds=60) <= clock.now() - began <= timedelta(seconds=80)


def test_a_failed_image_is_an_error_at_once_and_can_be_discarded(ec2: Session, images: AwsImages) -> None:
    image_id = make(ec2)
    set_state(ec2, image_id, "failed")
    with pytest.raises(BakeError, match="does not become available"):
        images.settle(image_id, 60, lambda _: None)
    images.discard(image_id)
    assert images.by_name("hello-1") is None


def test_an_image_in_order_is_never_discarded(ec2: Session, images: AwsImages) -> None:
    image_id = make(ec2)
    with pytest.raises(CloudError, match="is kept"):
        images.discard(image_id)
    assert images.by_id(image_id) is not None
