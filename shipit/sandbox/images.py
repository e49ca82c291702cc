"""Images: moto keeps the records, machines keep the disks."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from threading import RLock
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.amis import Ami
from moto.ec2.utils import random_ami_id

from shipit.sandbox.instances import Instances
from shipit.sandbox.seams import Machines

log = logging.getLogger(__name__)

BASE_IMAGE_ID = "ami-0000000000deb1a12"
# Debian's own account, so that the `owners` that people write for Debian find it
# (https://wiki.debian.org/Cloud/AmazonEC2Image).
DEBIAN_ACCOUNT = "136693071363"
ROOT_DEVICE = "/dev/xvda"
_NAME = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}")
_TAG_LIMIT = 50


class Images:
    """CreateImage, CopyImage and DeregisterImage with real disks. The caller holds `lock`, moto's EC2 lock."""

    def __init__(self, backend: Any, machines: Machines, lock: RLock) -> None:
        self._backend = backend
        self._machines = machines
        self._lock = lock
        # A copy shares the disk of its source.
        self._disks: dict[str, str] = {}

    def disk_of(self, image_id: str) -> str:
        return self._disks.get(image_id, image_id)

    def register_base(self) -> str:
        """Publishes the base system as Debian's image; returns its id."""
        self._backend.amis[BASE_IMAGE_ID] = Ami(
            self._backend,
            BASE_IMAGE_ID,
            name="debian-12-amd64-sandbox",
            description="The host's /usr as a Debian 12 image",
            owner_id=DEBIAN_ACCOUNT,
            public=True,
            virtualization_type="hvm",
            architecture="x86_64",
            hypervisor="xen",
            root_device_type="ebs",
            root_device_name=ROOT_DEVICE,
            image_location=f"{DEBIAN_ACCOUNT}/debian-12-amd64-sandbox",
            region_name=self._backend.region_name,
        )
        return BASE_IMAGE_ID

    def create(self, params: Mapping[str, Any], instances: Instances) -> Ami:
        """Answers with a `pending` image; it becomes `available` once the disk is kept, `failed` if that fails."""
        record = self._backend.get_instance(params.get("InstanceId"))
        if record.state not in ("running", "stopped", "stopping"):
            raise EC2ClientError("IncorrectState", f"Instance '{record.id}' is in state '{record.state}'.")
        self._check_name(str(params.get("Name")))
        tags = tags_by_type(params.get("TagSpecifications") or [], {"image", "snapshot"})
        image = self._record(str(params["Name"]), params.get("Description", ""), instance=record)
        image.add_tags(tags.get("image", {}))
        image.ebs_snapshot.add_tags(tags.get("snapshot", {}))
        reboot = str(params.get("NoReboot", False)).lower() != "true"
        instances.submit(self._keep, image, record, instances, reboot)
        return image

    def copy(self, params: Mapping[str, Any]) -> Ami:
        source = self.existing(str(params.get("SourceImageId")))
        self._check_name(str(params.get("Name")))
        image = self._record(str(params["Name"]), params.get("Description") or source.description, source_ami=source)
        tags = {tag["key"]: tag["value"] for tag in source.get_tags()} if params.get("CopyImageTags") else {}
        image.add_tags(
            tags | tags_by_type(params.get("TagSpecifications") or [], {"image", "snapshot"}).get("image", {})
        )
        image.state = "available"
        self._disks[image.id] = self.disk_of(source.id)
        return image

    def deregister(self, image_id: str, *, with_snapshots: bool) -> list[str]:
        """Forgets the image; returns the snapshots deleted with it."""
        image = self._backend.amis.get(image_id)
        if image is not None and getattr(image, "deregistration_protection", "disabled") != "disabled":
            raise EC2ClientError("OperationNotPermitted", f"The image '{image_id}' is protected from deregistration.")
        self._backend.deregister_image(image_id)
        disk = self._disks.pop(image_id, image_id)
        if disk not in self._disks.values() and disk not in self._backend.amis:
            self._machines.drop_image(disk)
        if not with_snapshots or image is None:
            return []
        return [self._backend.delete_snapshot(image.ebs_snapshot.id).id]

    def existing(self, image_id: str) -> Ami:
        """Raises InvalidAMIID.NotFound."""
        return self._backend.describe_images(ami_ids=[image_id])[0]

    def _record(self, name: str, description: str, **origin: Any) -> Ami:
        image = Ami(
            self._backend,
            random_ami_id(),
            name=name,
            description=description,
            state="pending",
            root_device_type="ebs",
            root_device_name=ROOT_DEVICE,
            hypervisor="xen",
            image_location=f"{self._backend.account_id}/{name}",
            region_name=self._backend.region_name,
            **origin,
        )
        self._backend.amis[image.id] = image
        return image

    def _keep(self, image: Ami, record: Any, instances: Instances, reboot: bool) -> None:
        try:
            instances.keep_disk(record, image.id, reboot=reboot)
        except Exception as failure:  # noqa: BLE001 - whatever it was, the image must not stay pending
            log.warning("%s of %s failed: %s", image.id, record.id, failure)
            image.state_reason = {"Code": "Server.InternalError", "Message": str(failure)}
            image.state = "failed"
            return
        with self._lock:
            image.state = "available"
            deregistered = image.id not in self._backend.amis
        if deregistered:
            self._machines.drop_image(image.id)

    def _check_name(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise EC2ClientError(
                "InvalidAMIName.Malformed",
                "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "
                "'(', ')', '[', ']', ' ', '.', '/', '-', ''', '@' and '_'",
            )
        for image in self._backend.amis.values():
            if image.name == name and image.owner_id == self._backend.account_id:
                raise EC2ClientError("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {image.id}")


def tags_by_type(specifications: Sequence[Mapping[str, Any]], allowed: set[str]) -> dict[str, dict[str, str]]:
    """Tags by resource type; raises for a type that the call does not create, and for more than 50."""
    found: dict[str, dict[str, str]] = {}
    for specification in specifications:
        kind = str(specification.get("ResourceType"))
        if kind not in allowed:
            raise EC2ClientError(
                "InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation."
            )
        tags = {str(tag["Key"]): str(tag.get("Value", "")) for tag in specification.get("Tags", [])}
        found[kind] = found.get(kind, {}) | tags
        if len(found[kind]) > _TAG_LIMIT:
            raise EC2ClientError("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
    return found
