"""Our images and snapshots, what needs them, and their end. Field notes C2: a deregistered image keeps its snapshots, which
are deleted only where a tag proves them ours; an image that is shared may be in use where we cannot see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shipit import naming
from shipit.aws.errors import code_of, translated
from shipit.aws.images import image_of, snapshots_of, tags_of
from shipit.aws.session import Session
from shipit.errors import CloudError, NotFound, Refused
from shipit.found import Ami, Snapshot

# EC2: at most 200 values in one filter.
VALUES_PER_FILTER = 200
_USING = ("pending", "running", "stopping", "stopped")
_GONE = frozenset({"InvalidAMIID.NotFound", "InvalidAMIID.Unavailable", "InvalidSnapshot.NotFound"})


class AwsRetention:
    """The images of one app, in all its environments of one account and region."""

    def __init__(self, session: Session, app: str) -> None:
        self._session = session
        self._app = app

    def images(self) -> Sequence[Ami]:
        return [_ami(record) for record in self._own_images(Filters=[self._by_app])]

    def snapshots(self) -> Sequence[Snapshot]:
        """Our snapshots that none of our images is made of."""
        made_of = {snapshot for record in self._own_images(Filters=[self._by_app]) for snapshot in snapshots_of(record)}
        with translated("listing the snapshots"):
            pages = self._ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=[self._by_app])
            found = [record for page in pages for record in page["Snapshots"] if record["SnapshotId"] not in made_of]
        return [_snapshot(record) for record in found]

    def used(self) -> Mapping[str, str]:
        """Images that a fleet of any environment of the app is made of, by id: by its tags, and by its launch template."""
        by_tag = {tags_of(group).get(naming.IMAGE, ""): group["AutoScalingGroupName"] for group in self._groups()}
        return {**self._in_templates(), **{image: f"Auto Scaling group {name}" for image, name in by_tag.items()}}

    def environments(self) -> frozenset[str]:
        """All environments of the app that have a fleet in this account and region."""
        return frozenset(tags_of(group).get(naming.ENV, "") for group in self._groups()) - {""}

    def held(self, image_ids: Sequence[str]) -> Mapping[str, str]:
        """What else needs them: instances, whoever's, and other accounts that they are shared with."""
        running: dict[str, str] = {}
        for start in range(0, len(image_ids), VALUES_PER_FILTER):
            running |= self._running(image_ids[start : start + VALUES_PER_FILTER])
        shared = {image: text for image in image_ids if image not in running and (text := self._shared(image))}
        return {**running, **shared}

    def delete_image(self, image_id: str, state: str) -> Sequence[str]:
        """Deregisters it and deletes its snapshots; returns what stays, with why. Raises `Refused` when it is needed by now.

        `state` is the one it was found in: a failed image may have been replaced, a pending one may have become whole.
        """
        found = self._own_images(Filters=[_filter("image-id", image_id)])
        if not found:
            return ()
        self._refuse_needed(found[0], state)
        try:
            with translated(f"deregistering image {image_id}"):
                self._ec2.deregister_image(ImageId=image_id)
        except CloudError as error:
            if code_of(error) not in _GONE:
                raise
        return [text for snapshot in snapshots_of(found[0]) for text in self._try_snapshot(snapshot)]

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Raises `Refused` for one that no tag proves ours, or that is pinned; `CloudError` for one in use."""
        try:
            with translated(f"reading snapshot {snapshot_id}"):
                (record,) = self._ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
            tags = tags_of(record)
            if tags.get(naming.APP) != self._app or naming.KEEP in tags:
                raise self._kept(f"snapshot {snapshot_id}", tags)
            with translated(f"deleting snapshot {snapshot_id}"):
                self._ec2.delete_snapshot(SnapshotId=snapshot_id)
        except CloudError as error:
            if code_of(error) not in _GONE:
                raise

    def _try_snapshot(self, snapshot_id: str) -> Sequence[str]:
        try:
            self.delete_snapshot(snapshot_id)
        except (CloudError, Refused) as error:
            return [f"snapshot {snapshot_id} stays: {error.why}"]
        return ()

    def _refuse_needed(self, record: Mapping[str, Any], state: str) -> None:
        image_id, tags = record["ImageId"], tags_of(record)
        if tags.get(naming.APP) != self._app or naming.KEEP in tags:
            raise self._kept(f"image {image_id}", tags)
        if record["State"] != state:
            raise Refused(f"image {image_id} is kept", f"it was {state} and is {record['State']} by now", "shipit gc")
        needs = {**self.held([image_id]), **self.used()}.get(image_id)
        if needs:
            raise Refused(f"image {image_id} is kept", f"it is needed by now: {needs}", "shipit gc")

    def _kept(self, what: str, tags: Mapping[str, str]) -> Refused:
        pinned = f"a tag {naming.KEEP} pins it" if naming.KEEP in tags else f"its tags do not say {self._app}"
        return Refused(f"{what} is kept", pinned, "shipit gc")

    def _groups(self) -> list[Mapping[str, Any]]:
        with translated("reading the Auto Scaling groups"):
            pages = self._asg.get_paginator("describe_auto_scaling_groups").paginate(Filters=[self._by_app])
            return [group for page in pages for group in page["AutoScalingGroups"]]

    def _in_templates(self) -> dict[str, str]:
        """Every version counts: a group may use one that is neither the newest nor the default."""
        with translated("listing the launch templates"):
            pages = self._ec2.get_paginator("describe_launch_templates").paginate(Filters=[self._by_app])
            names = {t["LaunchTemplateId"]: t["LaunchTemplateName"] for page in pages for t in page["LaunchTemplates"]}
        found = {}
        for template_id, name in names.items():
            for version in self._versions(template_id):
                found[version["LaunchTemplateData"].get("ImageId", "")] = f"launch template {name}"
        return found

    def _versions(self, template_id: str) -> list[Mapping[str, Any]]:
        try:
            with translated("reading a launch template"):
                paginator = self._ec2.get_paginator("describe_launch_template_versions")
                pages = paginator.paginate(LaunchTemplateId=template_id)
                return [version for page in pages for version in page["LaunchTemplateVersions"]]
        except NotFound:
            return []

    def _running(self, image_ids: Sequence[str]) -> dict[str, str]:
        filters = [_filter("image-id", *image_ids), _filter("instance-state-name", *_USING)]
        with translated("looking for instances of the images"):
            pages = self._ec2.get_paginator("describe_instances").paginate(Filters=filters)
            found = [i for page in pages for reservation in page["Reservations"] for i in reservation["Instances"]]
        return {instance["ImageId"]: f"instance {instance['InstanceId']}" for instance in found}

    def _shared(self, image_id: str) -> str:
        try:
            with translated(f"reading who may launch image {image_id}"):
                answer = self._ec2.describe_image_attribute(ImageId=image_id, Attribute="launchPermission")
        except NotFound:
            return ""
        others = [next(iter(permission.values())) for permission in answer.get("LaunchPermissions", ())]
        return f"it is shared with {', '.join(others)}" if others else ""

    def _own_images(self, **request: Any) -> list[Mapping[str, Any]]:
        with translated("listing the images"):
            pages = self._ec2.get_paginator("describe_images").paginate(Owners=["self"], **request)
            return [record for page in pages for record in page["Images"]]

    @property
    def _by_app(self) -> dict[str, Any]:
        return _filter(f"tag:{naming.APP}", self._app)

    @property
    def _ec2(self) -> Any:
        return self._session.client("ec2")

    @property
    def _asg(self) -> Any:
        return self._session.client("autoscaling")


def _ami(record: Mapping[str, Any]) -> Ami:
    protection = str(record.get("DeregistrationProtection") or "disabled")
    return Ami(image_of(record), tags_of(record).get(naming.KEEP), protection.startswith("enabled"))


def _snapshot(record: Mapping[str, Any]) -> Snapshot:
    return Snapshot(record["SnapshotId"], record["StartTime"], tags_of(record).get(naming.KEEP))


def _filter(name: str, *values: str) -> dict[str, Any]:
    return {"Name": name, "Values": list(values)}
