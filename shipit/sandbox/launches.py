"""RunInstances before anything runs: the launch template's data under the request's, and the checks that moto leaves
out.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Mapping
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.utils import filter_iam_instance_profiles

USER_DATA_LIMIT = 16384
# Said about the template or about one call, not about the instance.
_NOT_MERGED = {"LaunchTemplate", "ClientToken", "DryRun", "MinCount", "MaxCount"}


def merge(template: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """What to launch: the request wins over the template, key by key; tags add up (API reference, RunInstances,
    LaunchTemplate).

    A subnet given beside a template with network interfaces goes into the first of them, as Auto Scaling does it.
    """
    merged = {key: value for key, value in template.items() if key not in _NOT_MERGED and value is not None} | dict(
        request
    )
    nics = merged.get("NetworkInterfaces")
    if nics and "SubnetId" in request and "NetworkInterfaces" not in request:
        merged["NetworkInterfaces"] = [dict(nics[0], SubnetId=merged.pop("SubnetId")), *nics[1:]]
    if "UserData" in merged:
        merged["UserData"] = str(merged["UserData"])
    # The template's tags stay in the template: moto adds them to the instance itself.
    if "TagSpecifications" not in request:
        merged.pop("TagSpecifications", None)
    return merged


def check(params: Mapping[str, Any], backend: Any) -> None:
    """Raises the error that EC2 would answer. Checked here because moto accepts all of it (field notes J19)."""
    image_id = params.get("ImageId")
    if not image_id:
        raise EC2ClientError("MissingParameter", "The request must contain the parameter ImageId")
    image = backend.amis.get(image_id)
    if image is None:
        code = "InvalidAMIID.Unavailable" if image_id in backend.deleted_amis else "InvalidAMIID.NotFound"
        raise EC2ClientError(code, f"The image id '[{image_id}]' does not exist")
    if image.state != "available":
        raise EC2ClientError("InvalidAMIID.Unavailable", f"The image id '[{image_id}]' is not available: {image.state}")
    kind = params.get("InstanceType", "m1.small")
    if not any(known.get("InstanceType") == kind for known in backend.instance_types):
        raise EC2ClientError("InvalidParameterValue", f"Invalid value '{kind}' for InstanceType.")
    key_name = params.get("KeyName")
    if key_name and key_name not in backend.key_pairs:
        raise EC2ClientError("InvalidKeyPair.NotFound", f"The key pair '{key_name}' does not exist")
    _check_profile(params.get("IamInstanceProfile") or {}, backend.account_id)
    check_user_data(params.get("UserData"))


def _check_profile(profile: Mapping[str, Any], account: str) -> None:
    if not profile:
        return
    name, arn = profile.get("Name"), profile.get("Arn")
    try:
        filter_iam_instance_profiles(account, "aws", arn, name)
    except ServiceException:
        text = (
            f"Value ({name or arn}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
        )
        raise EC2ClientError("InvalidParameterValue", text) from None


def check_user_data(encoded: Any | None) -> None:
    """Raises unless it is base64 of at most 16 KB."""
    try:
        raw = base64.b64decode(str(encoded or ""), validate=True)
    except (binascii.Error, ValueError):
        raise EC2ClientError("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.") from None
    if len(raw) > USER_DATA_LIMIT:
        raise EC2ClientError("InvalidParameterValue", f"User data is limited to {USER_DATA_LIMIT} bytes")


def choose_subnet(params: Mapping[str, Any], backend: Any) -> str | None:
    """The default VPC's subnet with the fewest instances, in the zone that was asked for; None when the request names
    its subnet.
    """
    if params.get("SubnetId") or params.get("NetworkInterfaces"):
        return None
    zone = (params.get("Placement") or {}).get("AvailabilityZone") or None
    default = [one for subnets in backend.subnets.values() for one in subnets.values() if one.default_for_az]
    fitting = [one for one in default if zone in (None, one.availability_zone)]
    if not fitting:
        raise EC2ClientError("MissingInput", f"No default subnet for availability zone: '{zone}'.")
    load = Counter(one.subnet_id for one in backend.all_instances() if one.state in ("pending", "running"))
    return str(min(fitting, key=lambda subnet: (load[subnet.id], subnet.availability_zone)).id)


def root_device(image: Any) -> list[dict[str, Any]]:
    """The block device that an instance gets from its AMI: moto's own default ignores the AMI's device name."""
    ebs = {"SnapshotId": image.ebs_snapshot.id, "VolumeSize": 8, "VolumeType": "gp3", "DeleteOnTermination": True}
    return [{"DeviceName": image.root_device_name, "Ebs": ebs}]
