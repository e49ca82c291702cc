"""A shop on one place of a cloud, two days from now: what the tests have just made is old enough to be left over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from shipit import naming
from shipit.clock import SystemClock
from shipit.config import Config
from shipit.errors import CloudError
from shipit.events import Ended, Steered
from shipit.ports import Record
from shipit.standing import Standing
from shipit.wiring import Shop
from tests.contract.clouds import ENV, Place
from tests.fakes.cloud import FakeClock
from tests.fakes.record import FakeRecord

AHEAD = timedelta(days=2)


class Ahead(SystemClock):
    """This machine's clock, two days ahead."""

    def now(self) -> datetime:
        return super().now() + AHEAD


def writing(
    standing: Standing | None = None, events: Sequence[Ended | Steered] = (), *, broken: bool = False
) -> Record:
    """A record in which this is written; or one that cannot be reached."""
    down = CloudError("the record is broken", "Weird: said AWS", "mend it", "Weird") if broken else None
    return FakeRecord(FakeClock(), standing or Standing(), list(events), down=down)


def shop_in(place: Place, record: Record | None = None, folder: Path | None = None, **settings: Any) -> Shop:
    traffic = place.settings.traffic.model_copy(
        update={"listener": place.listener, "rule": place.rule, "settle_seconds": 0.0}
    )
    made = place.settings.model_copy(update={"traffic": traffic, "region": place.session.region, **settings})
    where = folder or Path()
    shop = Shop(Config(made, ENV, where, where / "shipit.yml"), Ahead(), lambda event: None)
    vars(shop).update(session=place.session, record=record or writing())
    return shop


def images(place: Place, count: int) -> list[str]:
    """So many AMIs of the app, the oldest first."""
    made = {image(place, f"v{number}") for number in range(count)}
    known = place.ec2.describe_images(ImageIds=list(made))["Images"]
    return [r["ImageId"] for r in sorted(known, key=lambda r: (r["CreationDate"], r["ImageId"]))]


def image(place: Place, name: str) -> str:
    """An AMI of the app with a snapshot, tagged as a bake does."""
    run = place.ec2.run_instances(ImageId=place.cloud.image, MinCount=1, MaxCount=1, SubnetId=place.cloud.subnets[0])
    instance = run["Instances"][0]["InstanceId"]
    place.ec2.get_waiter("instance_running").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    made = str(place.ec2.create_image(InstanceId=instance, Name=f"{place.app}-{name}")["ImageId"])
    place.ec2.get_waiter("image_available").wait(ImageIds=[made], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    place.ec2.terminate_instances(InstanceIds=[instance])
    tag(place, made, {naming.APP: place.app, naming.VERSION: name, naming.COMMIT: (name * 40)[:40]})
    return made


def tag(place: Place, image_id: str, tags: dict[str, str]) -> None:
    """Tags an image with its snapshots."""
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    place.ec2.create_tags(Resources=[image_id, *snapshots_of(place, image_id)], Tags=pairs)


def snapshots_of(place: Place, image_id: str) -> list[str]:
    (record,) = place.ec2.describe_images(ImageIds=[image_id])["Images"]
    disks = [mapping.get("Ebs", {}) for mapping in record["BlockDeviceMappings"]]
    return [disk["SnapshotId"] for disk in disks if "SnapshotId" in disk]


def images_there(place: Place, *ids: str) -> set[str]:
    found = place.ec2.describe_images(Owners=["self"])["Images"]
    return {record["ImageId"] for record in found} & set(ids)
