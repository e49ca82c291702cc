"""What load balancing and Auto Scaling ask of their neighbours, answered by ours."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from moto.core.exceptions import ServiceException

from shipit.sandbox import launches
from shipit.sandbox.autoscaling.seams import InvalidTemplate, LaunchError, LaunchRequest, TemplateFacts, TemplateRef
from shipit.sandbox.chaos_faults import NO_CAPACITY
from shipit.sandbox.ec2 import Ec2
from shipit.sandbox.elbv2 import Endpoint, LoadBalancing
from shipit.sandbox.instances import plain_text

_GROUP_TAG = "aws:autoscaling:groupName"


class Ec2Link:
    """`autoscaling.seams.Ec2`. `no_capacity` says for which groups there is none (chaos)."""

    def __init__(self, ec2: Ec2, no_capacity: Callable[[str], bool] = lambda _: False) -> None:
        self._ec2 = ec2
        self._no_capacity = no_capacity

    def resolve(self, template: TemplateRef) -> TemplateFacts:
        with self._ec2.lock:
            try:
                backend = self._ec2.backend
                found = (
                    backend.get_launch_template(template.id)
                    if template.id
                    else backend.get_launch_template_by_name(template.name)
                )
                version = found.get_version(template.version)
                data = launches.merge(version.data, {})
                launches.check(data, backend)
            except ServiceException as refusal:
                raise InvalidTemplate(str(refusal.message)) from refusal
        return TemplateFacts(
            id=found.id,
            name=found.name,
            version_number=version.number,
            image_id=data["ImageId"],
            instance_type=data.get("InstanceType", "m1.small"),
            user_data=plain_text(data.get("UserData")),
        )

    def launch(self, request: LaunchRequest) -> str:
        if self._no_capacity(request.group_name):
            raise LaunchError("InsufficientInstanceCapacity", NO_CAPACITY.format(subnet=request.subnet_id))
        tags = {_GROUP_TAG: request.group_name} | dict(request.tags)
        params: dict[str, Any] = {
            "LaunchTemplate": {"LaunchTemplateId": request.template.id, "Version": request.template.version},
            "SubnetId": request.subnet_id,
            "MinCount": 1,
            "MaxCount": 1,
            "TagSpecifications": [{"ResourceType": "instance", "Tags": _as_list(tags)}],
        }
        if request.instance_type:
            params["InstanceType"] = request.instance_type
        try:
            return str(self._ec2.run(params).instances[0].id)
        except ServiceException as refusal:
            raise LaunchError(refusal.code, str(refusal.message)) from refusal

    def terminate(self, instance_id: str) -> None:
        record = self._ec2.instances.find(instance_id)
        if record is not None and record.state not in ("shutting-down", "terminated"):
            self._ec2.instances.terminate(record)

    def state(self, instance_id: str) -> str | None:
        record = self._ec2.instances.find(instance_id)
        return None if record is None else str(record.state)

    def subnet_zone(self, subnet_id: str) -> str | None:
        return next((zone for zone, subnets in self._ec2.backend.subnets.items() if subnet_id in subnets), None)

    def default_subnet(self, zone: str) -> str | None:
        subnets = self._ec2.backend.subnets.get(zone, {})
        return next((subnet.id for subnet in subnets.values() if subnet.default_for_az), None)


def endpoint(ec2: Ec2, instance_id: str) -> Endpoint | None:
    """What load balancing must know of an instance; None once it is terminated."""
    record = ec2.instances.find(instance_id)
    if record is None or record.state == "terminated":
        return None
    return Endpoint(record.private_ip, record.availability_zone, record.vpc_id, record.state == "running")


class GroupsLink:
    """`autoscaling.seams.TargetGroups`."""

    def __init__(self, plane: LoadBalancing) -> None:
        self._plane = plane

    def exists(self, arn: str) -> bool:
        return self._plane.known_group(arn) is not None

    def register(self, arn: str, instance_id: str) -> None:
        # A group that was deleted meanwhile, an instance that stopped meanwhile: Auto Scaling finds out on its next
        # round.
        with contextlib.suppress(ServiceException):
            self._plane.register(arn, instance_id)

    def deregister(self, arn: str, instance_id: str) -> None:
        with contextlib.suppress(ServiceException):
            self._plane.deregister(arn, instance_id)

    def health(self, arn: str) -> Mapping[str, str]:
        return {health.target.id: health.state for health in self._plane.health(arn)}


class UtcClock:
    """`autoscaling.seams.Clock`."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def _as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
