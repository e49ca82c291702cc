"""EC2 with real machines: what moto alone gets wrong (field notes J14, J19, J23, J24, J28), and what it cannot do at
all.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shipit.sandbox.state import State
from tests.sandbox.machines_of_tests import boot, serving, wait_for_page, wait_for_state

pytestmark = pytest.mark.sandbox


@pytest.fixture
def ec2(client: Callable[[str], Any]) -> Any:
    return client("ec2")


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def refused(code: str, call: Callable[..., Any], **params: Any) -> None:
    with pytest.raises(ClientError) as caught:
        call(**params)
    assert caught.value.response["Error"]["Code"] == code


def console(ec2: Any, instance_id: str, text: str, seconds: float = 10) -> str:
    deadline = time.monotonic() + seconds
    while text not in (said := ec2.get_console_output(InstanceId=instance_id).get("Output", "")):
        assert time.monotonic() < deadline, said
        time.sleep(0.05)
    return said


def test_an_instance_lives_from_pending_to_terminated(sandbox: State, ec2: Any) -> None:
    script = "#!/bin/sh\necho booted-$(hostname)\n"
    made = ec2.run_instances(
        ImageId=sandbox.base_image_id, InstanceType="t3.micro", MinCount=1, MaxCount=1, UserData=script
    )
    first = made["Instances"][0]
    assert first["State"]["Name"] == "pending"
    instance_id = first["InstanceId"]
    running = wait_for_state(ec2, instance_id, "running")
    assert running["SubnetId"] in sandbox.subnet_ids
    assert running["PublicIpAddress"] == running["PrivateIpAddress"]
    name = running["PrivateDnsName"].partition(".")[0]
    assert f"booted-{name}" in console(ec2, instance_id, "booted-")

    stopping = ec2.stop_instances(InstanceIds=[instance_id])["StoppingInstances"][0]
    assert (stopping["PreviousState"]["Name"], stopping["CurrentState"]["Name"]) == ("running", "stopping")
    wait_for_state(ec2, instance_id, "stopped")
    ec2.start_instances(InstanceIds=[instance_id])
    wait_for_state(ec2, instance_id, "running")
    ending = ec2.terminate_instances(InstanceIds=[instance_id])["TerminatingInstances"][0]
    assert ending["CurrentState"]["Name"] == "shutting-down"
    gone = wait_for_state(ec2, instance_id, "terminated")
    assert gone["StateReason"]["Code"] == "Client.UserInitiatedShutdown"


@pytest.mark.parametrize("behaviour, end", [("stop", "stopped"), ("terminate", "terminated")])
def test_a_shutdown_from_inside_does_what_the_instance_was_told(
    sandbox: State, ec2: Any, behaviour: str, end: str
) -> None:
    script = "#!/bin/sh\nsleep 0.5; poweroff\n"
    instance = boot(ec2, sandbox.base_image_id, script, InstanceInitiatedShutdownBehavior=behaviour)
    found = wait_for_state(ec2, instance["InstanceId"], end)
    assert found["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])


def test_instances_without_a_subnet_are_spread_over_the_zones(sandbox: State, ec2: Any) -> None:
    made = [boot(ec2, sandbox.base_image_id) for _ in range(2)]
    zones = {one["Placement"]["AvailabilityZone"] for one in made}
    ec2.terminate_instances(InstanceIds=[one["InstanceId"] for one in made])
    assert zones == {f"{sandbox.region}a", f"{sandbox.region}b"}


def test_the_same_client_token_starts_one_instance(sandbox: State, ec2: Any) -> None:
    ask = {
        "ImageId": sandbox.base_image_id,
        "InstanceType": "t3.micro",
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": unique("t"),
    }
    one, two = (ec2.run_instances(**ask)["Instances"][0]["InstanceId"] for _ in range(2))
    assert one == two
    refused("IdempotentParameterMismatch", ec2.run_instances, **{**ask, "MaxCount": 2})
    ec2.terminate_instances(InstanceIds=[one])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ({"InstanceType": "t9.huge"}, "InvalidParameterValue"),
        ({"KeyName": "no-such-key"}, "InvalidKeyPair.NotFound"),
        ({"UserData": "x" * 16385}, "InvalidParameterValue"),
        ({"IamInstanceProfile": {"Name": "nobody"}}, "InvalidParameterValue"),
    ],
    ids=["image", "type", "key", "user data over 16 KB", "instance profile"],
)
def test_what_ec2_refuses_is_refused_and_starts_nothing(
    sandbox: State, ec2: Any, change: dict[str, Any], code: str
) -> None:
    ask: dict[str, Any] = {"ImageId": sandbox.base_image_id, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}
    tag = unique("refused")
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "test", "Value": tag}]}]
    refused(code, ec2.run_instances, **{**ask, **change, "TagSpecifications": tags})
    assert not ec2.describe_instances(Filters=[{"Name": "tag:test", "Values": [tag]}])["Reservations"]


def test_a_launch_template_is_merged_under_the_request(sandbox: State, ec2: Any) -> None:
    name = unique("lt")
    data = {
        "ImageId": sandbox.base_image_id,
        "InstanceType": "t3.small",
        "UserData": base64.b64encode(b"#!/bin/sh\necho from-the-template\n").decode(),
        "SecurityGroupIds": [sandbox.security_group_ids["app"]],
        "IamInstanceProfile": {"Name": sandbox.instance_profile},
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "1"}]}
        ],
    }
    ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
    own = [{"ResourceType": "instance", "Tags": [{"Key": "b", "Value": "2"}]}]
    made = ec2.run_instances(
        LaunchTemplate={"LaunchTemplateName": name},
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=own,
    )
    found = wait_for_state(ec2, made["Instances"][0]["InstanceId"], "running")
    tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
    assert (tags["a"], tags["b"]) == ("1", "2")
    assert found["InstanceType"] == "t3.micro"
    assert (found["MetadataOptions"]["HttpTokens"], found["MetadataOptions"]["HttpPutResponseHopLimit"]) == (
        "required",
        2,
    )
    assert found["IamInstanceProfile"]["Arn"].endswith(f"/{sandbox.instance_profile}")
    assert [group["GroupId"] for group in found["SecurityGroups"]] == [sandbox.security_group_ids["app"]]
    console(ec2, found["InstanceId"], "from-the-template")
    ec2.terminate_instances(InstanceIds=[found["InstanceId"]])


def test_launch_template_versions_can_be_tokened_inherited_and_deleted(sandbox: State, ec2: Any) -> None:
    name, token = unique("lt"), unique("t")
    data = {"ImageId": sandbox.base_image_id, "InstanceType": "t3.small"}
    made = [
        ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data, ClientToken=token)
        for _ in range(2)
    ]
    assert made[0]["LaunchTemplate"]["LaunchTemplateId"] == made[1]["LaunchTemplate"]["LaunchTemplateId"]
    encoded = base64.b64encode(b"hello").decode()
    second = ec2.create_launch_template_version(
        LaunchTemplateName=name, SourceVersion="1", LaunchTemplateData={"UserData": encoded}
    )["LaunchTemplateVersion"]
    assert (second["VersionNumber"], second["LaunchTemplateData"]) == (2, data | {"UserData": encoded})

    ec2.create_launch_template_version(LaunchTemplateName=name, LaunchTemplateData=data)
    done = ec2.delete_launch_template_versions(LaunchTemplateName=name, Versions=["1", "2", "9"])
    assert [one["VersionNumber"] for one in done["SuccessfullyDeletedLaunchTemplateVersions"]] == [2]
    codes = {one["ResponseError"]["Code"] for one in done["UnsuccessfullyDeletedLaunchTemplateVersions"]}
    assert codes == {"launchTemplateVersionIsDefault", "launchTemplateVersionDoesNotExist"}
    shown = ec2.describe_launch_template_versions(LaunchTemplateName=name)["LaunchTemplateVersions"]
    assert [one["VersionNumber"] for one in shown] == [1, 3]
    refused(
        "InvalidLaunchTemplateId.VersionNotFound",
        ec2.describe_launch_template_versions,
        LaunchTemplateName=name,
        Versions=["2"],
    )
    ec2.delete_launch_template(LaunchTemplateName=name)


def test_an_image_keeps_the_disk_its_tags_and_its_name(sandbox: State, ec2: Any) -> None:
    instance = boot(ec2, sandbox.base_image_id, serving("v1").replace("setsid python3", "touch /srv/kept # "))
    console(ec2, instance["InstanceId"], "")
    time.sleep(0.3)
    name = unique("image")
    tags = [{"Key": "shipit:app", "Value": "hello"}]
    made = ec2.create_image(
        InstanceId=instance["InstanceId"],
        Name=name,
        TagSpecifications=[{"ResourceType": kind, "Tags": tags} for kind in ("image", "snapshot")],
    )["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[made])
    (image,) = ec2.describe_images(ImageIds=[made])["Images"]
    snapshot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    assert (image["Tags"], image["RootDeviceName"]) == (tags, "/dev/xvda")
    assert ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["Tags"] == tags
    refused("InvalidAMIName.Duplicate", ec2.create_image, InstanceId=instance["InstanceId"], Name=name)
    refused("InvalidAMIName.Malformed", ec2.create_image, InstanceId=instance["InstanceId"], Name="no:colons")

    copy = ec2.copy_image(Name=f"{name}-copy", SourceImageId=made, SourceRegion=sandbox.region, CopyImageTags=True)[
        "ImageId"
    ]
    ec2.deregister_image(ImageId=made, DeleteAssociatedSnapshots=True)
    assert ec2.describe_images(ImageIds=[copy])["Images"][0]["Tags"] == tags
    refused("InvalidSnapshot.NotFound", ec2.describe_snapshots, SnapshotIds=[snapshot])
    refused("InvalidAMIID.Unavailable", ec2.run_instances, ImageId=made, MinCount=1, MaxCount=1)

    child = boot(ec2, copy, "#!/bin/sh\nls /srv\nexec setsid python3 /srv/app.py >/dev/null 2>&1 &\n")
    console(ec2, child["InstanceId"], "kept")
    wait_for_page(f"http://{child['PrivateIpAddress']}:8080/")
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"], child["InstanceId"]])
    ec2.deregister_image(ImageId=copy)


def test_a_protected_image_is_not_deregistered(sandbox: State, ec2: Any) -> None:
    instance = boot(ec2, sandbox.base_image_id)
    image = ec2.create_image(InstanceId=instance["InstanceId"], Name=unique("image"), NoReboot=True)["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[image])
    ec2.enable_image_deregistration_protection(ImageId=image)
    refused("OperationNotPermitted", ec2.deregister_image, ImageId=image)
    ec2.disable_image_deregistration_protection(ImageId=image)
    ec2.deregister_image(ImageId=image)
    ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])


def test_what_is_missing_is_a_client_error_and_no_html(client: Callable[[str], Any]) -> None:
    refused("InvalidAction", client("ec2").describe_fast_snapshot_restores)
    refused("InvalidAction", client("cloudwatch").describe_alarm_history)
    refused("InvalidAction", client("s3").list_buckets)


def test_deleting_a_launch_template_that_is_gone_says_that_it_does_not_exist(client: Callable[[str], Any]) -> None:
    with pytest.raises(ClientError, match=r"InvalidLaunchTemplateName\.NotFoundException"):
        client("ec2").delete_launch_template(LaunchTemplateName="never-was")


def test_more_than_fifteen_launch_templates_are_described(client: Callable[[str], Any]) -> None:
    ec2, prefix = client("ec2"), uuid.uuid4().hex
    for number in range(20):
        data = {"InstanceType": "t3.micro"}
        ec2.create_launch_template(LaunchTemplateName=f"{prefix}-{number}", LaunchTemplateData=data)
    names = [template["LaunchTemplateName"] for template in ec2.describe_launch_templates()["LaunchTemplates"]]
    assert len([name for name in names if name.startswith(prefix)]) == 20
