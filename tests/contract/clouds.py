"""The clouds on which the adapters must behave the same: moto in this process, and the sandbox; and faults on the wire.

`import` the fixtures that a module needs. Each test has its own listener and its own app, so that none sees another.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from shipit import naming
from shipit.aws.fleets import AwsFleets
from shipit.aws.groups import TargetGroups
from shipit.aws.launching import Launcher
from shipit.aws.session import Session
from shipit.aws.traffic import AwsTraffic
from shipit.model import Route, Split, Version
from shipit.ports import Launch
from shipit.settings import Settings
from tests.fakes.cloud import FakeClock

ENV = "test"
_ports = itertools.count(10_001)


@dataclass
class Cloud:
    """One place with AWS's API: what is there before shipit comes."""

    kind: str
    session: Session
    vpc: str
    subnets: list[str]
    balancer: str
    image: str

    def client(self, service: str) -> Any:
        return self.session.client(service)


@dataclass
class Wire:
    """Faults between a client and its cloud."""

    session: Session
    _undo: list[Callable[[], None]] = field(default_factory=list)

    def fail_before(self, service: str, operation: str, code: str, times: int = 1) -> list[str]:
        """The call is answered with this error and never reaches the cloud. Returns what happened, for the test."""
        struck: list[str] = []

        def answer(**_: Any) -> Any:
            if len(struck) < times:
                struck.append(operation)
                return SimpleNamespace(status_code=400), _error(code)
            return None

        self._register(service, f"before-call.{{}}.{operation}", answer)
        return struck

    def fail_after(self, service: str, operation: str, code: str, times: int = 1) -> list[str]:
        """The call takes effect, and is then answered with this error."""
        struck: list[str] = []

        def spoil(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
            if len(struck) < times and http_response.status_code < 300:
                struck.append(operation)
                http_response.status_code = 400
                parsed.clear()
                parsed.update(_error(code))

        self._register(service, f"after-call.{{}}.{operation}", spoil)
        return struck

    def count(self, service: str, operation: str) -> list[dict[str, Any]]:
        """The calls of this operation from now on, with their parameters."""
        calls: list[dict[str, Any]] = []
        self._register(service, f"provide-client-params.{{}}.{operation}", lambda params, **_: calls.append(params))
        return calls

    def before(self, service: str, operation: str, act: Callable[[], object]) -> None:
        """Somebody else does something right before the first of these calls."""
        done: list[bool] = []

        def once(**_: Any) -> None:
            if not done:
                done.append(True)
                act()

        self._register(service, f"before-call.{{}}.{operation}", once)

    def mend(self) -> None:
        for undo in self._undo:
            undo()
        self._undo.clear()

    def _register(self, service: str, pattern: str, act: Callable[..., Any]) -> None:
        meta = self.session.client(service).meta
        event = pattern.format(meta.service_model.service_id.hyphenize())
        meta.events.register(event, act)
        self._undo.append(lambda: meta.events.unregister(event, act))


def _error(code: str) -> dict[str, Any]:
    return {"Error": {"Code": code, "Message": f"{code}, said AWS"}, "ResponseMetadata": {"HTTPStatusCode": 400}}


def moto_cloud() -> Iterator[Cloud]:
    from moto import mock_aws

    keys = {"aws_access_key_id": "moto", "aws_secret_access_key": "moto"}
    with mock_aws():
        session = Session("eu-west-1", None, **keys)
        correct_templates(session)
        ec2 = session.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=f"eu-west-1{zone}")["Subnet"][
                "SubnetId"
            ]
            for n, zone in enumerate("ab")
        ]
        elb = session.client("elbv2")
        balancer = elb.create_load_balancer(Name="lb", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
        image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        yield Cloud("moto", session, vpc, subnets, balancer, image)


def sandbox_cloud(state: Any) -> Cloud:
    keys = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "sandbox", "endpoint_url": state.endpoint_url}
    session = Session(state.region, None, **keys)
    correct_templates(session)
    return Cloud("sandbox", session, state.vpc_id, state.subnet_ids, state.load_balancer_arn, state.base_image_id)


def correct_templates(session: Session) -> None:
    """moto says MissingParameter of a template that is gone; AWS has a code for that."""

    def correct(parsed: dict[str, Any], **_: Any) -> None:
        if parsed.get("Error", {}).get("Code") == "MissingParameter":
            parsed["Error"]["Code"] = "InvalidLaunchTemplateName.NotFoundException"

    session.client("ec2").meta.events.register("after-call.ec2.DeleteLaunchTemplate", correct)


def nothing_yet() -> list[dict[str, Any]]:
    config = {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "nothing yet"}
    return [{"Type": "fixed-response", "FixedResponseConfig": config}]


def weights_in(actions: list[dict[str, Any]]) -> dict[str, int]:
    """By target group name; moto gives a single group by its ARN alone."""
    (forward,) = [action for action in actions if action["Type"] == "forward"]
    alone = [{"TargetGroupArn": forward.get("TargetGroupArn", ""), "Weight": 1}]
    tuples = forward.get("ForwardConfig", {}).get("TargetGroups", alone)
    return {t["TargetGroupArn"].split("/")[1]: t["Weight"] for t in tuples}


@dataclass
class Place:
    """One app on one listener of a cloud, with its adapters."""

    cloud: Cloud
    app: str
    listener: str
    settings: Settings
    rule: str | None = None
    made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = self.cloud.session
        self.groups = TargetGroups(self.session, self.settings, ENV, self.listener)
        self.clock = FakeClock()
        self.traffic = AwsTraffic(self.session, self.groups, self.clock, self.listener, self.rule)
        launcher = Launcher(
            self.session, self.groups, self.settings, ENV, lambda launch: f"#!/bin/sh\n# {launch.name}\n", self.clock
        )
        self.fleets = AwsFleets(self.session, self.groups, launcher, self.clock, self.app, ENV)
        self.wire = Wire(self.session)

    def shift(self, split: Split) -> Route:
        """Shifts from whatever the split is now."""
        return self.traffic.shift(split, self.traffic.observe().split)

    @property
    def elb(self) -> Any:
        return self.cloud.client("elbv2")

    @property
    def asg(self) -> Any:
        return self.cloud.client("autoscaling")

    @property
    def ec2(self) -> Any:
        return self.cloud.client("ec2")

    def anew(self, **changes: Any) -> Place:
        """The same place, seen by another process."""
        known = {"cloud": self.cloud, "app": self.app, "listener": self.listener, "rule": self.rule}
        known["made"] = self.made
        return Place(**{**known, "settings": self.settings, **changes})

    def group(self, name: str, *, foreign: bool = False) -> str:
        """A target group; of somebody else with `foreign`. Returns its ARN."""
        app = "somebody-else" if foreign else self.app
        tags = {naming.APP: app, naming.ENV: ENV, naming.FLEET: name}
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        if foreign:
            return self.raw_group(name, pairs)
        arn = TargetGroups(self.session, self.settings, ENV, self.listener).create(name, pairs)
        self.made.append(arn)
        return arn

    def raw_group(self, name: str, tags: list[dict[str, str]]) -> str:
        made = self.elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=self.cloud.vpc, Tags=tags)
        self.made.append(made["TargetGroups"][0]["TargetGroupArn"])
        return self.made[-1]

    def name(self, version: str) -> str:
        return naming.fleet_name(self.app, ENV, version)

    def actions(self) -> list[dict[str, Any]]:
        """What the listener or rule does, as it is described."""
        found: list[dict[str, Any]]
        if self.rule:
            found = self.elb.describe_rules(RuleArns=[self.rule])["Rules"][0]["Actions"]
        else:
            found = self.elb.describe_listeners(ListenerArns=[self.listener])["Listeners"][0]["DefaultActions"]
        return found

    def set_actions(self, actions: list[dict[str, Any]]) -> None:
        if self.rule:
            self.elb.modify_rule(RuleArn=self.rule, Actions=actions)
        else:
            self.elb.modify_listener(ListenerArn=self.listener, DefaultActions=actions)

    def weights(self) -> dict[str, int]:
        """Weights in the forward action by target group name, whoever's it is."""
        return weights_in(self.actions())

    def rules(self) -> list[dict[str, Any]]:
        found = self.elb.describe_rules(ListenerArn=self.listener)["Rules"]
        return [rule for rule in found if not rule["IsDefault"]]

    def launch(self, version: str = "v1", size: int = 1) -> Launch:
        return Launch(self.name(version), Version(version, "c" * 40), self.cloud.image, "digest", size)

    def clear(self) -> None:
        """Leaves the cloud as it was found."""
        self.wire.mend()
        self.elb.delete_listener(ListenerArn=self.listener)
        for group in self.asg.describe_auto_scaling_groups()["AutoScalingGroups"]:
            if group["AutoScalingGroupName"].startswith(self.app):
                self.asg.delete_auto_scaling_group(AutoScalingGroupName=group["AutoScalingGroupName"], ForceDelete=True)
        for found in self.elb.describe_target_groups()["TargetGroups"]:
            if found["TargetGroupArn"] in self.made or found["TargetGroupName"].startswith(self.app):
                self.elb.delete_target_group(TargetGroupArn=found["TargetGroupArn"])


def settings_of(cloud: Cloud, app: str) -> Settings:
    return Settings.model_validate(
        {
            "app": app,
            "fleet": {"subnets": cloud.subnets, "size": 1, "max_size": 4},
            "health": {"path": "/healthz"},
            "traffic": {"drain_seconds": 1},
        }
    )


def place_in(cloud: Cloud) -> Place:
    app = f"t{uuid.uuid4().hex[:8]}"
    made = cloud.client("elbv2").create_listener(
        LoadBalancerArn=cloud.balancer, Protocol="HTTP", Port=next(_ports), DefaultActions=nothing_yet()
    )
    return Place(cloud, app, made["Listeners"][0]["ListenerArn"], settings_of(cloud, app))


@pytest.fixture(scope="module", params=["moto", pytest.param("sandbox", marks=pytest.mark.sandbox)])
def cloud(request: pytest.FixtureRequest) -> Iterator[Cloud]:
    if request.param == "moto":
        yield from moto_cloud()
    else:
        yield sandbox_cloud(request.getfixturevalue("sandbox"))


@pytest.fixture
def place(cloud: Cloud) -> Iterator[Place]:
    made = place_in(cloud)
    yield made
    made.clear()


@pytest.fixture(params=["default action", "rule"])
def routed(request: pytest.FixtureRequest, place: Place) -> Place:
    """The place twice: shifted by the listener's default action, and by a rule of priority 10 with two conditions."""
    if request.param == "default action":
        return place
    conditions = [
        {"Field": "host-header", "HostHeaderConfig": {"Values": ["shop.example"]}},
        {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/shop/*"]}},
    ]
    made = place.elb.create_rule(ListenerArn=place.listener, Priority=10, Conditions=conditions, Actions=nothing_yet())
    return place.anew(rule=made["Rules"][0]["RuleArn"])
