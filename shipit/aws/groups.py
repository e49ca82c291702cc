"""Target groups: which are ours, by tag; the names of their ARNs; made, read and deleted.

An ARN has a random tail, so it is looked up and never built; a name is no proof of ownership, tags are (field notes A1, A9).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shipit import naming
from shipit.aws.errors import code_of, translated
from shipit.aws.session import Session
from shipit.errors import CloudError, NotFound, Refused
from shipit.model import TargetState

if TYPE_CHECKING:
    from shipit.settings import Settings

# DescribeTags takes at most 20 ARNs (ELBv2 API).
TAGS_PER_CALL = 20


class TargetGroups:
    """The target groups of one app and environment."""

    def __init__(self, session: Session, settings: Settings, env: str, listener_arn: str) -> None:
        self._session = session
        self._settings = settings
        self._env = env
        self._listener = listener_arn
        self._tags: dict[str, dict[str, str]] = {}
        self._arns: dict[str, str] = {}

    @property
    def _elb(self) -> Any:
        return self._session.client("elbv2")

    def own_tags(self) -> list[dict[str, str]]:
        return [{"Key": naming.APP, "Value": self._settings.app}, {"Key": naming.ENV, "Value": self._env}]

    def prove(self, arns: Sequence[str]) -> None:
        """Reads the tags of those that have not been read yet; those that tell whose a group is never change."""
        unknown = [arn for arn in dict.fromkeys(arns) if arn not in self._tags]
        for start in range(0, len(unknown), TAGS_PER_CALL):
            with translated("reading the tags of target groups"):
                answer = self._elb.describe_tags(ResourceArns=unknown[start : start + TAGS_PER_CALL])
            for described in answer["TagDescriptions"]:
                tags = {tag["Key"]: tag["Value"] for tag in described["Tags"]}
                self._tags[described["ResourceArn"]] = tags

    def forget(self, arn: str) -> None:
        """Its tags are read again when they are asked for next."""
        self._tags.pop(arn, None)

    def tags(self, arn: str) -> dict[str, str]:
        """The tags as they were read, of anything whose ARN was proved."""
        return self._tags.setdefault(arn, {})

    def ours(self, arn: str) -> bool:
        """Proved by tags to be this app's and environment's."""
        tags = self._tags.get(arn, {})
        return tags.get(naming.APP) == self._settings.app and tags.get(naming.ENV) == self._env

    def name(self, arn: str) -> str:
        """The fleet that the group belongs to."""
        return self._tags.get(arn, {}).get(naming.FLEET) or arn.split(":targetgroup/")[-1].split("/")[0]

    def learn(self, name: str, arn: str) -> None:
        self._arns[name] = arn

    def find(self, name: str) -> str | None:
        """The ARN of our group of that name, if there is one. Raises `Refused` for a group of somebody else."""
        if name not in self._arns:
            try:
                with translated(f"looking for target group {name}"):
                    found = self._elb.describe_target_groups(Names=[name])["TargetGroups"]
            except NotFound:
                return None
            self._adopt(name, found[0]["TargetGroupArn"])
        return self._arns[name]

    def arn(self, name: str) -> str:
        found = self.find(name)
        if found is None:
            raise NotFound(f"target group {name} does not exist", "it may have been deleted by hand", "shipit status")
        return found

    def create(self, name: str, tags: list[dict[str, str]]) -> str:
        """Makes the group, or adopts it when an earlier try made it. Returns its ARN."""
        health = self._settings.health
        try:
            with translated(f"creating target group {name}"):
                answer = self._elb.create_target_group(
                    Name=name,
                    Protocol="HTTP",
                    Port=self._settings.fleet.port,
                    VpcId=self._vpc,
                    TargetType="instance",
                    HealthCheckProtocol="HTTP",
                    HealthCheckPath=health.path,
                    HealthCheckIntervalSeconds=health.interval_seconds,
                    HealthCheckTimeoutSeconds=health.timeout_seconds,
                    HealthyThresholdCount=health.healthy_threshold,
                    UnhealthyThresholdCount=health.unhealthy_threshold,
                    Matcher={"HttpCode": health.codes},
                    Tags=tags,
                )
        except CloudError as error:
            if code_of(error) != "DuplicateTargetGroupName":
                raise
            arn = self.arn(name)
        else:
            # Same name and settings return an existing group without an error: only its tags tell whose it is.
            arn = self._adopt(name, answer["TargetGroups"][0]["TargetGroupArn"])
        with translated(f"setting the draining time of {name}"):
            self._elb.modify_target_group_attributes(
                TargetGroupArn=arn,
                Attributes=[
                    {"Key": "deregistration_delay.timeout_seconds", "Value": str(self._settings.traffic.drain_seconds)}
                ],
            )
        return arn

    def health(self, name: str) -> dict[str, tuple[TargetState, str, str]]:
        """By instance id: state, reason code and description."""
        with translated(f"reading the health of {name}"):
            answer = self._elb.describe_target_health(TargetGroupArn=self.arn(name))
        found = {}
        for described in answer["TargetHealthDescriptions"]:
            health = described["TargetHealth"]
            texts = (TargetState(health["State"]), health.get("Reason", ""), health.get("Description", ""))
            found[described["Target"]["Id"]] = texts
        return found

    def delete(self, name: str) -> bool:
        """True when the group is gone; False while some rule still names it."""
        arn = self.find(name)
        if arn is None:
            return True
        try:
            with translated(f"deleting target group {name}"):
                self._elb.delete_target_group(TargetGroupArn=arn)
        except NotFound:
            pass
        except CloudError as error:
            if code_of(error) == "ResourceInUse":
                return False
            raise
        self._arns.pop(name, None)
        return True

    def _adopt(self, name: str, arn: str) -> str:
        self.prove([arn])
        if not self.ours(arn):
            raise Refused(
                f"target group {name} exists and is not {self._settings.app}'s",
                f"its tags are {self._tags.get(arn, {})}",
                "run the command again: another name will be chosen",
            )
        self._arns[name] = arn
        return arn

    @cached_property
    def _vpc(self) -> str:
        balancer = self._listener.replace(":listener/", ":loadbalancer/").rsplit("/", 1)[0]
        with translated("looking up the load balancer"):
            found = self._elb.describe_load_balancers(LoadBalancerArns=[balancer])["LoadBalancers"]
        return str(found[0]["VpcId"])
