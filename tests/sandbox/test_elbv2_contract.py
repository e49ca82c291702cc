# ruff: noqa: N802 - the names say which row of the field notes they protect
"""What AWS promises of ELBv2 and moto breaks. Every test is named after the row of field note J that it protects."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.cloudformation import urls as cloudformation_urls
from moto.elb import urls as elb_urls
from moto.elbv2 import urls as elbv2_urls
from moto.elbv2.models import ELBv2Backend

from shipit.sandbox.elbv2 import Endpoint, LoadBalancing, install
from shipit.sandbox.seams import Group, Listener, Target, TargetHealth

REGION = "eu-central-1"


@dataclass
class FakeBalancer:
    """Keeps what it is told; a target of a referenced group is healthy at once."""

    listeners: Sequence[Listener] = ()
    groups: Mapping[str, Group] = field(default_factory=dict)
    targets: dict[tuple[str, str], Target] = field(default_factory=dict)
    draining: set[tuple[str, str]] = field(default_factory=set)

    def set_listeners(self, listeners: Sequence[Listener]) -> None:
        self.listeners = listeners

    def set_groups(self, groups: Sequence[Group]) -> None:
        self.groups = {group.arn: group for group in groups}

    def register(self, group_arn: str, target: Target) -> None:
        assert group_arn in self.groups
        self.targets[group_arn, target.id] = target
        self.draining.discard((group_arn, target.id))

    def deregister(self, group_arn: str, target_id: str) -> None:
        if (group_arn, target_id) in self.targets:
            self.draining.add((group_arn, target_id))

    def update_target(self, group_arn: str, target: Target) -> None:
        self.targets[group_arn, target.id] = target

    def health(self, group_arn: str) -> Sequence[TargetHealth]:
        return [self._health(arn, target) for (arn, _), target in self.targets.items() if arn == group_arn]

    def _health(self, arn: str, target: Target) -> TargetHealth:
        if (arn, target.id) in self.draining:
            return TargetHealth(target, "draining", "Target.DeregistrationInProgress")
        if not (self.groups[arn].referenced and target.zone_enabled):
            return TargetHealth(target, "unused", "Target.NotInUse")
        return TargetHealth(target, "healthy") if target.runs else TargetHealth(target, "unused", "Target.InvalidState")

    def front_door(self, listener_arn: str) -> str | None:
        return None

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        return {}

    def close(self) -> None: ...


@dataclass
class World:
    """An account with a load balancer in two zones, and instances that exist because a test says so."""

    elb: Any
    balancer: FakeBalancer
    plane: LoadBalancing
    instances: dict[str, Endpoint]
    load_balancer: str
    vpc: str
    subnets: list[str]

    def group(self, name: str = "web", **settings: Any) -> str:
        made = self.elb.create_target_group(Name=name, Protocol="HTTP", Port=8080, VpcId=self.vpc, **settings)
        return str(made["TargetGroups"][0]["TargetGroupArn"])

    def listener(self, *actions: Mapping[str, Any], port: int = 80, **settings: Any) -> str:
        settings = {"Protocol": "HTTP", "LoadBalancerArn": self.load_balancer, **settings}
        made = self.elb.create_listener(Port=port, DefaultActions=list(actions), **settings)
        return str(made["Listeners"][0]["ListenerArn"])

    def rule(self, listener: str, *actions: Mapping[str, Any], priority: int = 10) -> str:
        conditions = [{"Field": "path-pattern", "Values": ["/preview/*"]}]
        made = self.elb.create_rule(
            ListenerArn=listener, Priority=priority, Conditions=conditions, Actions=list(actions)
        )
        return str(made["Rules"][0]["RuleArn"])

    def instance(self, name: str, **changes: Any) -> str:
        self.instances[name] = replace(Endpoint("10.0.0.4", f"{REGION}a", self.vpc), **changes)
        return name

    def health(self, group: str, *ids: str) -> list[tuple[str, str, str | None]]:
        asked = {"Targets": [{"Id": name} for name in ids]} if ids else {}
        found = self.elb.describe_target_health(TargetGroupArn=group, **asked)["TargetHealthDescriptions"]
        return [
            (item["Target"]["Id"], item["TargetHealth"]["State"], item["TargetHealth"].get("Reason")) for item in found
        ]

    def default_actions(self, listener: str) -> list[Any]:
        return list(self.elb.describe_listeners(ListenerArns=[listener])["Listeners"][0]["DefaultActions"])

    def refusal(self, call: str, **params: Any) -> str:
        with pytest.raises(ClientError) as caught:
            getattr(self.elb, call)(**params)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        return str(caught.value.response["Error"]["Code"])


def build(monkeypatch: pytest.MonkeyPatch, *, fast: bool) -> World:
    for urls in (elb_urls, elbv2_urls):
        monkeypatch.setitem(urls.url_paths, "{0}/$", urls.url_paths["{0}/$"])
    for path, handler in cloudformation_urls.url_paths.items():
        monkeypatch.setitem(cloudformation_urls.url_paths, path, handler)
    monkeypatch.setattr(ELBv2Backend, "convert_and_validate_properties", ELBv2Backend.convert_and_validate_properties)
    balancer, instances = FakeBalancer(), dict[str, Endpoint]()
    plane = install(balancer, instances.get, fast=fast)
    config = Config(parameter_validation=False, retries={"max_attempts": 0})
    ec2 = boto3.client("ec2", region_name=REGION)
    elb = boto3.client("elbv2", region_name=REGION, config=config)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"][
            "SubnetId"
        ]
        for n, zone in enumerate("abc")
    ]
    made = elb.create_load_balancer(Name="edge", Subnets=subnets[:2])["LoadBalancers"][0]
    return World(elb, balancer, plane, instances, made["LoadBalancerArn"], vpc, subnets)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with mock_aws():
        yield build(monkeypatch, fast=False)


@pytest.fixture
def fast_world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with mock_aws():
        yield build(monkeypatch, fast=True)


def forward(*groups: str, **config: Any) -> dict[str, Any]:
    return weighted(*[(group, 1) for group in groups], **config)


def weighted(*groups: tuple[str, int], **config: Any) -> dict[str, Any]:
    tuples = [{"TargetGroupArn": group, "Weight": weight} for group, weight in groups]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": tuples, **config}}


def oidc(order: int = 1, **config: Any) -> dict[str, Any]:
    urls = {
        name: f"https://id.example/{name}" for name in ("AuthorizationEndpoint", "TokenEndpoint", "UserInfoEndpoint")
    }
    client = {"Issuer": "https://id.example", "ClientId": "shop", **urls, **config}
    return {"Type": "authenticate-oidc", "Order": order, "AuthenticateOidcConfig": client}


FIXED = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}


def test_J01_a_target_of_a_group_that_nobody_names_is_unused(world: World) -> None:
    group = world.group()
    world.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": world.instance("i-1")}])
    assert world.health(group) == [("i-1", "unused", "Target.NotInUse")]
    world.listener(forward(group))
    assert world.health(group) == [("i-1", "healthy", None)]


def test_J01_weight_zero_is_a_reference(world: World) -> None:
    blue, green = world.group("blue"), world.group("green")
    world.listener(weighted((blue, 1), (green, 0)))
    assert world.balancer.groups[green].referenced


def test_J01_a_target_in_a_zone_without_load_balancer_is_unused(world: World) -> None:
    group = world.group()
    world.listener(forward(group))
    world.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": world.instance("i-1", zone=f"{REGION}c")}])
    assert world.health(group) == [("i-1", "unused", "Target.NotInUse")]
    world.elb.set_subnets(LoadBalancerArn=world.load_balancer, Subnets=world.subnets)
    assert world.health(group) == [("i-1", "healthy", None)]


def test_J01_a_stopped_instance_is_unused(world: World) -> None:
    group = world.group()
    world.listener(forward(group))
    world.plane.register(group, world.instance("i-1"))
    world.instance("i-1", running=False)
    world.plane.instance_changed("i-1")
    assert world.health(group) == [("i-1", "unused", "Target.InvalidState")]


def test_J02_a_deregistered_target_drains(world: World) -> None:
    group = world.group()
    world.listener(forward(group))
    world.plane.register(group, world.instance("i-1"))
    world.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": "i-1"}])
    assert world.health(group) == [("i-1", "draining", "Target.DeregistrationInProgress")]


def test_J02_a_target_asked_for_by_id_that_is_not_there_is_not_registered(world: World) -> None:
    assert world.health(world.group(), "i-9") == [("i-9", "unused", "Target.NotRegistered")]


def test_J03_a_terminated_instance_is_deregistered_everywhere(world: World) -> None:
    group = world.group()
    world.listener(forward(group))
    world.plane.register(group, world.instance("i-1"))
    del world.instances["i-1"]
    world.plane.instance_changed("i-1")
    assert (group, "i-1") in world.balancer.draining


@pytest.mark.parametrize(
    ("weights", "code"),
    [
        pytest.param([1000], "ValidationError", id="above 999"),
        pytest.param([-5, 1], "ValidationError", id="negative"),
        pytest.param([0, 0], "ValidationError", id="all zero"),
        pytest.param([1] * 6, "TooManyTargetGroups", id="six groups"),
    ],
)
def test_J08_weights_that_aws_refuses(world: World, weights: list[int], code: str) -> None:
    groups = [world.group(f"g{n}") for n in range(len(weights))]
    listener = world.listener(FIXED)
    action = weighted(*zip(groups, weights, strict=True))
    assert world.refusal("modify_listener", ListenerArn=listener, DefaultActions=[action]) == code
    assert world.default_actions(listener)[0]["Type"] == "fixed-response"


def test_J08_actions_that_aws_refuses(world: World) -> None:
    blue, green = world.group("blue"), world.group("green")
    missing = blue[:-4] + "beef"
    both = {**weighted((blue, 1), (green, 1)), "TargetGroupArn": blue}
    unweighted = {"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": a} for a in (blue, green)]}}
    first, second = {**forward(blue), "Order": 1}, {**forward(green), "Order": 2}
    cases: list[tuple[str, list[dict[str, Any]]]] = [
        ("ValidationError", [weighted((blue, 1), (blue, 2))]),
        ("TargetGroupNotFound", [forward(missing)]),
        ("InvalidLoadBalancerAction", [first, second]),
        ("InvalidLoadBalancerAction", [{**forward(blue), "Order": 1}, {**oidc(2, ClientSecret="s")}]),
        ("InvalidLoadBalancerAction", [both]),
        ("ValidationError", [unweighted]),
        ("ValidationError", [forward(blue, TargetGroupStickinessConfig={"Enabled": True})]),
        ("ValidationError", [forward(blue), FIXED]),
    ]
    listener = world.listener(FIXED)
    for code, actions in cases:
        assert world.refusal("modify_listener", ListenerArn=listener, DefaultActions=actions) == code, actions
        assert (
            world.refusal(
                "create_listener", LoadBalancerArn=world.load_balancer, Protocol="HTTP", Port=81, DefaultActions=actions
            )
            == code
        )


def test_J08_a_group_of_another_load_balancer_is_refused(world: World) -> None:
    group = world.group()
    world.listener(forward(group))
    other = world.elb.create_load_balancer(Name="other", Subnets=world.subnets[:2])["LoadBalancers"][0]
    params = {"LoadBalancerArn": other["LoadBalancerArn"], "Protocol": "HTTP", "Port": 80}
    assert world.refusal("create_listener", DefaultActions=[forward(group)], **params) == "TargetGroupAssociationLimit"


def test_J08_oidc_needs_https_and_a_secret(world: World) -> None:
    group = world.group()
    last = {**forward(group), "Order": 2}
    params = {"LoadBalancerArn": world.load_balancer, "Port": 443}
    https = {
        **params,
        "Protocol": "HTTPS",
        "Certificates": [{"CertificateArn": "arn:aws:iam::123456789012:server-certificate/c"}],
    }
    on_http = world.refusal("create_listener", Protocol="HTTP", DefaultActions=[oidc(ClientSecret="s"), last], **params)
    assert on_http == "InvalidLoadBalancerAction"
    assert world.refusal("create_listener", DefaultActions=[oidc(), last], **https) == "ValidationError"


def test_J08_weights_within_the_range_reach_the_balancer(world: World) -> None:
    blue, green = world.group("blue"), world.group("green")
    listener = world.listener(forward(blue))
    world.elb.modify_listener(ListenerArn=listener, DefaultActions=[weighted((blue, 999), (green, 0))])
    action = world.balancer.listeners[0].rules[-1].actions[0]
    assert action["ForwardConfig"]["TargetGroups"] == [  # type: ignore[index]
        {"TargetGroupArn": blue, "Weight": 999},
        {"TargetGroupArn": green, "Weight": 0},
    ]


def test_J08_target_stickiness_needs_group_stickiness_among_several_groups(world: World) -> None:
    blue, green = world.group("blue"), world.group("green")
    sticky = [{"Key": "stickiness.enabled", "Value": "true"}]
    world.elb.modify_target_group_attributes(TargetGroupArn=blue, Attributes=sticky)
    listener = world.listener(forward(blue))
    refused = world.refusal("modify_listener", ListenerArn=listener, DefaultActions=[forward(blue, green)])
    assert refused == "InvalidConfigurationRequest"
    assert world.balancer.groups[blue].stickiness_seconds == 86400


@pytest.mark.parametrize("by_arn", [True, False], ids=["by arn", "by forward config"])
def test_J09_a_forward_to_one_group_is_described_in_both_shapes(world: World, by_arn: bool) -> None:
    group = world.group()
    sent = {"Type": "forward", "TargetGroupArn": group} if by_arn else forward(group)
    listener = world.listener(sent)
    assert world.default_actions(listener) == [
        {
            "Type": "forward",
            "TargetGroupArn": group,
            "ForwardConfig": {
                "TargetGroups": [{"TargetGroupArn": group, "Weight": 1}],
                "TargetGroupStickinessConfig": {"Enabled": False},
            },
        }
    ]


def test_J09_a_forward_to_several_groups_has_no_target_group_arn(world: World) -> None:
    listener = world.listener(forward(world.group("blue"), world.group("green")))
    assert "TargetGroupArn" not in world.default_actions(listener)[0]


def test_J10_the_default_rule_is_changed_by_modify_listener_only(world: World) -> None:
    blue, green = world.group("blue"), world.group("green")
    listener = world.listener(forward(blue))
    default = world.elb.describe_rules(ListenerArn=listener)["Rules"][-1]["RuleArn"]
    assert world.refusal("modify_rule", RuleArn=default, Actions=[forward(green)]) == "OperationNotPermitted"
    assert world.refusal("delete_rule", RuleArn=default) == "OperationNotPermitted"
    world.elb.modify_listener(ListenerArn=listener, DefaultActions=[weighted((blue, 1), (green, 9))])
    rules = world.elb.describe_rules(ListenerArn=listener)["Rules"]
    assert rules[-1]["IsDefault"]
    assert rules[-1]["Actions"] == world.default_actions(listener)


def test_J10_rules_are_described_and_served_by_priority(world: World) -> None:
    listener = world.listener(FIXED)
    late, early = world.rule(listener, FIXED, priority=20), world.rule(listener, FIXED, priority=10)
    rules = world.elb.describe_rules(ListenerArn=listener)["Rules"]
    assert [rule["RuleArn"] for rule in rules][:2] == [early, late]
    assert [rule.arn for rule in world.balancer.listeners[0].rules][:2] == [early, late]


def test_J11_the_oidc_secret_is_kept_but_never_told(world: World) -> None:
    group = world.group()
    last = {**forward(group), "Order": 2}
    certificate = [{"CertificateArn": "arn:aws:iam::123456789012:server-certificate/c"}]
    listener = world.listener(oidc(ClientSecret="s3cret"), last, port=443, Protocol="HTTPS", Certificates=certificate)
    again = [oidc(UseExistingClientSecret=True), last]
    world.elb.modify_listener(ListenerArn=listener, DefaultActions=again)
    world.elb.modify_listener(ListenerArn=listener, DefaultActions=again)
    assert "ClientSecret" not in world.default_actions(listener)[0]["AuthenticateOidcConfig"]
    assert world.refusal("modify_listener", ListenerArn=listener, DefaultActions=[oidc(), last]) == "ValidationError"
    other = oidc(UseExistingClientSecret=True, ClientId="another")
    assert world.refusal("modify_listener", ListenerArn=listener, DefaultActions=[other, last]) == "ValidationError"


@pytest.mark.filterwarnings("ignore:.*does not match an error shape")
def test_J12_an_action_that_moto_lacks_is_a_client_error(world: World) -> None:
    assert world.refusal("describe_trust_stores") == "InvalidAction"


def test_J15_the_same_target_group_again_is_the_existing_one(world: World) -> None:
    first = world.group(HealthCheckPath="/health")
    assert world.group(HealthCheckPath="/health") == first
    assert len(world.elb.describe_target_groups()["TargetGroups"]) == 1
    params = {"Name": "web", "Protocol": "HTTP", "Port": 8080, "VpcId": world.vpc, "HealthCheckPath": "/other"}
    assert world.refusal("create_target_group", **params) == "DuplicateTargetGroupName"


def test_J16_load_balancer_arns_follow_the_actions(world: World) -> None:
    blue, green = world.group("blue"), world.group("green")
    listener = world.listener(forward(blue))

    def users(group: str) -> list[str]:
        found = world.elb.describe_target_groups(TargetGroupArns=[group])["TargetGroups"][0]
        return list(found["LoadBalancerArns"])

    assert (users(blue), users(green)) == ([world.load_balancer], [])
    world.elb.modify_listener(ListenerArn=listener, DefaultActions=[forward(green)])
    assert (users(blue), users(green)) == ([], [world.load_balancer])
    world.elb.delete_load_balancer(LoadBalancerArn=world.load_balancer)
    assert users(green) == []


def test_J17_a_group_in_an_action_cannot_be_deleted(world: World) -> None:
    blue, green = world.group("blue"), world.group("green")
    listener = world.listener(weighted((blue, 1), (green, 0)))
    assert world.refusal("delete_target_group", TargetGroupArn=green) == "ResourceInUse"
    world.elb.modify_listener(ListenerArn=listener, DefaultActions=[forward(blue)])
    world.elb.delete_target_group(TargetGroupArn=green)
    assert set(world.balancer.groups) == {blue}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("deregistration_delay.timeout_seconds", "3601"),
        ("deregistration_delay.timeout_seconds", "soon"),
        ("deregistration_delay.seconds", "10"),
        ("stickiness.enabled", "yes"),
        ("slow_start.duration_seconds", "10"),
        ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "off"),
    ],
)
def test_J31_attributes_that_aws_refuses(world: World, key: str, value: str) -> None:
    params = {"TargetGroupArn": world.group(), "Attributes": [{"Key": key, "Value": value}]}
    assert world.refusal("modify_target_group_attributes", **params) == "ValidationError"


@pytest.mark.parametrize("seconds", ["0", "3600"])
def test_J31_the_ends_of_the_range_are_accepted(world: World, seconds: str) -> None:
    group = world.group()
    wanted = [{"Key": "deregistration_delay.timeout_seconds", "Value": seconds}]
    world.elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=wanted)
    assert world.balancer.groups[group].drain_seconds == float(seconds)


def test_J31_what_is_described_can_be_sent_to_another_group(world: World) -> None:
    blue, green = world.group("blue"), world.group("green")
    attributes = world.elb.describe_target_group_attributes(TargetGroupArn=blue)["Attributes"]
    keys = {item["Key"] for item in attributes}
    assert "target_group_health.dns_failover.minimum_healthy_targets.count" in keys
    world.elb.modify_target_group_attributes(TargetGroupArn=green, Attributes=attributes)
    assert world.elb.describe_target_group_attributes(TargetGroupArn=green)["Attributes"] == attributes


def test_J32_deregistering_a_stranger_succeeds(world: World) -> None:
    world.elb.deregister_targets(TargetGroupArn=world.group(), Targets=[{"Id": "i-9"}])


def test_J32_targets_that_cannot_serve_are_refused_and_none_is_registered(world: World) -> None:
    group = world.group()
    good = world.instance("i-1")
    for bad in ("i-9", world.instance("i-2", running=False), world.instance("i-3", vpc_id="vpc-other")):
        targets = [{"Id": good}, {"Id": bad}]
        assert world.refusal("register_targets", TargetGroupArn=group, Targets=targets) == "InvalidTarget"
    assert world.health(group) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"HealthCheckIntervalSeconds": 4},
        {"HealthCheckIntervalSeconds": 301},
        {"HealthCheckTimeoutSeconds": 1},
        {"HealthyThresholdCount": 1},
        {"UnhealthyThresholdCount": 11},
        {"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 5},
    ],
)
def test_A05_health_check_settings_out_of_range_are_refused(world: World, settings: dict[str, int]) -> None:
    params = {"Protocol": "HTTP", "Port": 8080, "VpcId": world.vpc, **settings}
    assert world.refusal("create_target_group", Name="web", **params) == "ValidationError"
    assert world.refusal("modify_target_group", TargetGroupArn=world.group("old"), **settings) == "ValidationError"


def test_a_fast_sandbox_checks_five_times_as_often_and_allows_a_second(fast_world: World) -> None:
    quick = fast_world.group("quick", HealthCheckIntervalSeconds=1, HealthCheckTimeoutSeconds=1)
    usual = fast_world.group("usual", HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2)
    assert fast_world.balancer.groups[quick].check.interval_seconds == 0.2
    assert fast_world.balancer.groups[usual].check.interval_seconds == 1.0


def test_J10_paths_are_described_in_both_shapes(world: World) -> None:
    world.rule(world.listener(FIXED), FIXED)
    rule = world.elb.describe_rules(ListenerArn=world.balancer.listeners[0].arn)["Rules"][0]
    both = {"Values": ["/preview/*"], "PathPatternConfig": {"Values": ["/preview/*"]}}
    assert rule["Conditions"] == [{"Field": "path-pattern", **both}]


def test_J38_fifty_tags_and_not_one_more(world: World) -> None:
    group = world.group()
    tags = [{"Key": f"k{n}", "Value": "v"} for n in range(51)]
    for tag in tags[:50]:
        world.elb.add_tags(ResourceArns=[group], Tags=[tag])
    assert world.refusal("add_tags", ResourceArns=[group], Tags=tags[50:]) == "TooManyTags"


def test_requests_follow_what_cloudformation_makes(world: World) -> None:
    group = {"Name": "web", "Protocol": "HTTP", "Port": 8080, "VpcId": world.vpc}
    tuples = [{"TargetGroupArn": {"Ref": "Group"}, "Weight": 3}]
    listener = {
        "LoadBalancerArn": world.load_balancer,
        "Protocol": "HTTP",
        "Port": 80,
        "DefaultActions": [{"Type": "forward", "ForwardConfig": {"TargetGroups": tuples}}],
    }
    kind = "AWS::ElasticLoadBalancingV2::"
    resources = {
        "Group": {"Type": f"{kind}TargetGroup", "Properties": group},
        "Listener": {"Type": f"{kind}Listener", "Properties": listener},
    }
    stacks = boto3.client("cloudformation", region_name=REGION)
    stacks.create_stack(StackName="edge", TemplateBody=json.dumps({"Resources": resources}))
    (arn,) = world.balancer.groups
    assert world.balancer.groups[arn].referenced
    assert world.balancer.listeners[0].rules[-1].actions[0]["TargetGroupArn"] == arn


def test_a_port_has_one_listener(world: World) -> None:
    world.listener(FIXED)
    params = {"LoadBalancerArn": world.load_balancer, "Protocol": "HTTP", "Port": 80, "DefaultActions": [FIXED]}
    assert world.refusal("create_listener", **params) == "DuplicateListener"
