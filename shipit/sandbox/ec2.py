"""EC2 with machines behind it: the actions of moto's response class that must really do something.

Everything else (VPCs, security groups, key pairs, tags, volumes) stays moto's.
"""

from __future__ import annotations

from threading import RLock
from typing import Any

import moto.ec2.urls
from moto.core.responses import ActionResult, EmptyResult
from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import ec2_backends
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.instances import InstanceState
from moto.ec2.responses import EC2Response

from shipit.sandbox import launches, templates
from shipit.sandbox.images import Images
from shipit.sandbox.instances import Instances, previous_states
from shipit.sandbox.seams import Machines
from shipit.sandbox.templates import SandboxTemplates
from shipit.sandbox.tokens import Tokens

ACCOUNT = "123456789012"


class Ec2:
    """The EC2 of one region: moto's backend, the instances, the images, and the lock that guards them."""

    def __init__(self, region: str, machines: Machines, grace_seconds: float = 10.0) -> None:
        self.region = region
        self.lock = RLock()
        self.backend = ec2_backends[ACCOUNT][region]
        self.tokens = Tokens()
        self.images = Images(self.backend, machines, self.lock)
        self.instances = Instances(self.backend, machines, self.lock, self.images.disk_of, grace_seconds)

    def run(self, params: dict[str, Any]) -> Any:
        """RunInstances from inside the sandbox (Auto Scaling); the parameters of the API, the reservation as moto
        keeps it.
        """
        request = _bound(self)()
        request.params, request.uri_match, request.data = params, {}, {}
        request.region, request.partition, request.current_account = self.region, "aws", ACCOUNT
        with self.lock:
            return request.reserve()


def install(ec2: Ec2) -> None:
    """Makes moto serve EC2 from `ec2`. Must come before the first request."""
    templates.install()
    TaggedEC2Resource.get_tags = _own_tags
    moto.ec2.urls.url_paths["{0}/"] = _bound(ec2).dispatch


def _bound(ec2: Ec2) -> type[SandboxEC2]:
    return type("BoundEC2", (SandboxEC2,), {"ec2": ec2, "tokens": ec2.tokens})


def _own_tags(resource: Any) -> list[dict[str, str]]:
    """moto searches all tags of the region for each resource that it shows: with 64 instances that is most of a
    DescribeInstances.
    """
    tags = resource.ec2_backend.tags.get(resource.id, {})
    return [{"key": key, "value": value, "resource_id": resource.id} for key, value in tags.items()]


class SandboxEC2(SandboxTemplates, EC2Response):  # type: ignore[misc]
    """moto finds an action by its method's name; `ec2` is bound by `install`."""

    ec2: Ec2
    params: dict[str, Any]

    def run_instances(self) -> ActionResult:
        self._only_here()
        self.error_on_dryrun()
        return ActionResult(self.tokens.once("RunInstances", dict(self.params), self.reserve))

    def reserve(self) -> Any:
        """Records the instances and boots them; returns moto's reservation."""
        self.ec2.instances.tidy()
        self._complete()
        try:
            reservation = super().run_instances().result
        except StopIteration:
            raise EC2ClientError(
                "InsufficientFreeAddressesInSubnet", "There are not enough free addresses in the subnet."
            ) from None
        profile = self._get_param("IamInstanceProfile", {})
        for record in reservation.instances[1:] if profile else ():
            self.ec2_backend.associate_iam_instance_profile(record.id, profile.get("Name"), profile.get("Arn"))
        self.ec2.instances.launch(reservation.instances)
        return reservation

    def _complete(self) -> None:
        """Puts into the parameters what EC2 would fill in, and refuses what it would refuse."""
        template = self._get_param("LaunchTemplate", {})
        backend = self.ec2_backend
        source = backend._get_template_from_args(template).data if template else {}
        params = launches.merge(source, self.params)
        launches.check(params, backend)
        subnet = launches.choose_subnet(params, backend)
        if subnet:
            params["SubnetId"] = subnet
        params.setdefault("BlockDeviceMappings", launches.root_device(backend.amis[params["ImageId"]]))
        # moto starts MinCount instances; EC2 starts MaxCount as long as there is capacity.
        params["MinCount"] = params.get("MaxCount", params.get("MinCount", 1))
        self.params = params

    def terminate_instances(self) -> ActionResult:
        records = self._named_instances()
        for record in records:
            if record.disable_api_termination:
                raise EC2ClientError("OperationNotPermitted", f"The instance '{record.id}' may not be terminated.")
        ended = {"terminated", "shutting-down"}
        return self._change("TerminatingInstances", records, self.ec2.instances.terminate, unless=ended)

    def stop_instances(self) -> ActionResult:
        records = self._named_instances()
        self._require(records, {"running", "pending", "stopping", "stopped"})
        force = bool(self._get_param("Force", False))
        stop = self.ec2.instances.stop
        return self._change(
            "StoppingInstances", records, lambda one: stop(one, force=force), unless={"stopping", "stopped"}
        )

    def start_instances(self) -> ActionResult:
        self._only_here()
        records = self._named_instances()
        self._require(records, {"running", "pending", "stopped"})
        return self._change("StartingInstances", records, self.ec2.instances.start, unless={"running", "pending"})

    def reboot_instances(self) -> ActionResult:
        records = self._named_instances()
        self._require(records, {"running", "pending"})
        for record in records:
            self.ec2.instances.reboot(record)
        return EmptyResult()

    def get_console_output(self) -> ActionResult:
        record = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        # EC2 keeps the last 64 KB.
        text = self.ec2.instances.console(record.id)[-65536:]
        output = Base64EncodedString.from_raw_string(text)
        return ActionResult({"InstanceId": record.id, "Timestamp": utcnow(), "Output": output})

    def create_image(self) -> ActionResult:
        self.error_on_dryrun()
        return ActionResult({"ImageId": self.ec2.images.create(self.params, self.ec2.instances).id})

    def copy_image(self) -> ActionResult:
        self._only_here()
        self.error_on_dryrun()
        return ActionResult(
            {"ImageId": self.tokens.once("CopyImage", self.params, lambda: self.ec2.images.copy(self.params)).id}
        )

    def deregister_image(self) -> ActionResult:
        self.error_on_dryrun()
        image_id = self._get_param("ImageId")
        gone = self.ec2.images.deregister(
            image_id, with_snapshots=bool(self._get_param("DeleteAssociatedSnapshots", False))
        )
        results = [{"SnapshotId": snapshot_id, "ReturnCode": "success"} for snapshot_id in gone]
        return ActionResult({"Return": True, "DeleteSnapshotResults": results})

    def enable_image_deprecation(self) -> ActionResult:
        return self._mark_image(deprecation_time=self._get_param("DeprecateAt"))

    def disable_image_deprecation(self) -> ActionResult:
        return self._mark_image(deprecation_time=None)

    def enable_image_deregistration_protection(self) -> ActionResult:
        cooldown = bool(self._get_param("WithCooldown", False))
        return self._mark_image(
            deregistration_protection="enabled-with-cooldown" if cooldown else "enabled-without-cooldown"
        )

    def disable_image_deregistration_protection(self) -> ActionResult:
        return self._mark_image(deregistration_protection="disabled")

    def _mark_image(self, **marks: Any) -> ActionResult:
        self.error_on_dryrun()
        image = self.ec2.images.existing(self._get_param("ImageId"))
        vars(image).update(marks)
        return ActionResult({"Return": True})

    def _named_instances(self) -> list[Any]:
        self.error_on_dryrun()
        ids = self._get_param("InstanceIds", [])
        if not ids:
            raise EC2ClientError("MissingParameter", "The request must contain the parameter InstanceId")
        return list(self.ec2_backend.get_multi_instances_by_id(ids))

    def _require(self, records: list[Any], states: set[str]) -> None:
        for record in records:
            if record.state not in states:
                message = f"The instance '{record.id}' is not in a state from which it can be changed: {record.state}."
                raise EC2ClientError("IncorrectInstanceState", message)

    def _change(self, key: str, records: list[Any], act: Any, *, unless: set[str]) -> ActionResult:
        """Does it to those that are not there yet, and answers with the states before and after."""
        before = previous_states(records)
        for record in records:
            if record.state not in unless:
                act(record)
        return ActionResult({key: [_transition(record, before[record.id]) for record in records]})

    def _only_here(self) -> None:
        if self.region != self.ec2.region:
            raise EC2ClientError(
                "Unsupported", f"The sandbox has machines in {self.ec2.region} only, not in {self.region}."
            )


def _transition(record: Any, before: InstanceState) -> dict[str, Any]:
    return {"InstanceId": record.id, "CurrentState": record.instance_state, "PreviousState": before}
