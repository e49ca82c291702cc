"""What an account has before the first release: a VPC in two zones, security groups, a role, a load balancer that
answers 503.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from shipit.sandbox.ec2 import Ec2
from shipit.sandbox.inside import Inside

NAME = "shipit-sandbox"
TAG = "shipit:sandbox"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@dataclass(frozen=True)
class Seeded:
    """The ids of what was made."""

    vpc_id: str
    subnet_ids: list[str]
    security_group_ids: dict[str, str]
    instance_profile: str
    base_image_id: str
    load_balancer_arn: str
    listener_arn: str


def seed(ec2: Ec2, inside: Inside, network: IPv4Network, sandbox: str) -> Seeded:
    """Makes it all, tagged `shipit:sandbox` with the sandbox's name."""
    tags = [{"Key": TAG, "Value": sandbox}, {"Key": "Name", "Value": NAME}]
    vpc_id, subnet_ids = _network(ec2, network, {TAG: sandbox, "Name": NAME})
    groups = _security_groups(inside, vpc_id, str(network), tags)
    balancer = inside.ask(
        "elasticloadbalancing",
        "CreateLoadBalancer",
        "LoadBalancerArn",
        Name=NAME,
        Subnets=subnet_ids,
        SecurityGroups=[groups["lb"]],
        Tags=tags,
    )
    return Seeded(
        vpc_id=vpc_id,
        subnet_ids=subnet_ids,
        security_group_ids=groups,
        instance_profile=_instance_profile(inside, tags),
        base_image_id=ec2.images.register_base(),
        load_balancer_arn=balancer,
        listener_arn=_listener(inside, balancer, tags),
    )


def _network(ec2: Ec2, network: IPv4Network, tags: dict[str, str]) -> tuple[str, list[str]]:
    """The region's default VPC, in place of moto's, with the sandbox's real addresses: a call that names no subnet
    lands here.
    """
    backend = ec2.backend
    for subnet in [one for zone in backend.subnets.values() for one in zone.values()]:
        backend.delete_subnet(subnet.id)
    for old in list(backend.vpcs):
        backend.delete_vpc(old)
    vpc = backend.create_vpc(str(network), is_default=True)
    backend.default_vpc = vpc
    halves = zip("ab", network.subnets(prefixlen_diff=1), strict=True)
    subnets = [_subnet(backend, vpc.id, str(block), ec2.region + zone) for zone, block in halves]
    for made in (vpc, *subnets):
        made.add_tags(tags)
    return vpc.id, [subnet.id for subnet in subnets]


def _subnet(backend: Any, vpc_id: str, block: str, zone: str) -> Any:
    subnet = backend.create_subnet(vpc_id, block, availability_zone=zone)
    subnet.default_for_az = True
    subnet.map_public_ip_on_launch = True
    return subnet


def _security_groups(inside: Inside, vpc_id: str, network: str, tags: list[dict[str, str]]) -> dict[str, str]:
    """Nothing filters packets here; the rules are what a real account would need, for those who read them."""
    open_to = {"lb": ("80", "80", "0.0.0.0/0"), "app": ("0", "65535", network)}
    found = {}
    for role, (first, last, source) in open_to.items():
        made = inside.ask(
            "ec2",
            "CreateSecurityGroup",
            "groupId",
            GroupName=f"{NAME}-{role}",
            GroupDescription=f"Sandbox: {role}",
            VpcId=vpc_id,
            TagSpecification=[{"ResourceType": "security-group", "Tag": tags}],
        )
        rule = {"IpProtocol": "tcp", "FromPort": first, "ToPort": last, "IpRanges": [{"CidrIp": source}]}
        inside.ask("ec2", "AuthorizeSecurityGroupIngress", "return", GroupId=made, IpPermissions=[rule])
        found[role] = made
    return found


def _instance_profile(inside: Inside, tags: list[dict[str, str]]) -> str:
    inside.ask("iam", "CreateRole", "RoleName", RoleName=NAME, AssumeRolePolicyDocument=json.dumps(_TRUST), Tags=tags)
    inside.ask("iam", "CreateInstanceProfile", "InstanceProfileName", InstanceProfileName=NAME)
    inside.ask("iam", "AddRoleToInstanceProfile", "RequestId", InstanceProfileName=NAME, RoleName=NAME)
    return NAME


def _listener(inside: Inside, balancer: str, tags: list[dict[str, str]]) -> str:
    nothing_yet = {
        "Type": "fixed-response",
        "FixedResponseConfig": {
            "StatusCode": "503",
            "ContentType": "text/plain",
            "MessageBody": "Nothing is released yet.\n",
        },
    }
    return inside.ask(
        "elasticloadbalancing",
        "CreateListener",
        "ListenerArn",
        LoadBalancerArn=balancer,
        Protocol="HTTP",
        Port="80",
        DefaultActions=[nothing_yet],
        Tags=tags,
    )
