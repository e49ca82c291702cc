"""What a release needs to find in AWS: the load balancer, its network, what instances are given. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from shipit.aws.errors import code_of, translated
from shipit.aws.leftovers import balancer_of
from shipit.aws.session import Session
from shipit.errors import CloudError, NotFound
from shipit.value import value

_MISSING = frozenset({"InvalidSubnetID.NotFound", "InvalidGroup.NotFound", "NoSuchEntity"})


@value()
class Balancer:
    """A load balancer: `state` as AWS has it, `zones` those it takes targets in. `listener` is the port that is shifted."""

    name: str
    state: str
    vpc: str
    zones: frozenset[str]
    listener: int


@value()
class Subnet:
    """A subnet, with how many addresses are free in it."""

    id: str
    vpc: str
    zone: str
    free: int


class AwsCheckup:
    """Reads what is named in shipit.yml, as it is in one account and region. `listener` gives the ARN that is shifted."""

    def __init__(self, session: Session, listener: Callable[[], str]) -> None:
        self._session = session
        self._listener = listener

    def balancer(self) -> Balancer:
        """Raises `NotFound` when there is no such listener."""
        listener_arn = self._listener()
        with translated(f"looking for listener {listener_arn}"):
            (listener,) = self._elb.describe_listeners(ListenerArns=[listener_arn])["Listeners"]
        with translated("looking up the load balancer"):
            answer = self._elb.describe_load_balancers(LoadBalancerArns=[balancer_of(listener_arn)])
        (found,) = answer["LoadBalancers"]
        zones = frozenset(zone["ZoneName"] for zone in found["AvailabilityZones"])
        return Balancer(
            found["LoadBalancerName"], found["State"]["Code"], found["VpcId"], zones, int(listener.get("Port", 0))
        )

    def subnets(self, ids: Sequence[str]) -> Sequence[Subnet]:
        """Raises `CloudError` that names one that does not exist."""
        with _named("fleet.subnets"):
            found = self._ec2.describe_subnets(SubnetIds=list(ids))["Subnets"]
        return [
            Subnet(subnet["SubnetId"], subnet["VpcId"], subnet["AvailabilityZone"], subnet["AvailableIpAddressCount"])
            for subnet in found
        ]

    def security_groups(self, ids: Sequence[str]) -> dict[str, str]:
        """By id: the VPC. Raises `CloudError` that names one that does not exist."""
        with _named("fleet.security_groups"):
            found = self._ec2.describe_security_groups(GroupIds=list(ids))["SecurityGroups"]
        return {group["GroupId"]: group["VpcId"] for group in found}

    def roles(self, profile: str) -> Sequence[str]:
        """Names of the roles in an instance profile. Raises `NotFound` when there is no such profile."""
        with _named(f"instance profile {profile}"):
            found = self._iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]
        return [role["RoleName"] for role in found["Roles"]]

    @property
    def _elb(self) -> Any:
        return self._session.client("elbv2")

    @property
    def _ec2(self) -> Any:
        return self._session.client("ec2")

    @property
    def _iam(self) -> Any:
        return self._session.client("iam")


@contextmanager
def _named(what: str) -> Iterator[None]:
    """What shipit.yml names and AWS does not know: told as that, with AWS's words for which one it is."""
    try:
        with translated(f"looking for {what}"):
            yield
    except CloudError as error:
        if code_of(error) not in _MISSING:
            raise
        raise NotFound(f"{what}: not there", error.why, "correct shipit.yml, or create it", error.code) from error
