"""What there is of one environment in the account, and what is wrong with it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from shipit import naming
from shipit.sandbox.state import State

LIVE = ["pending", "running", "stopping", "stopped", "shutting-down"]


@dataclass(frozen=True)
class Picture:
    """`groups` by fleet: sizes, marks, instances; `weights` by fleet; `parts` are the names of everything else. `sticky` is for how
    many seconds clients are kept on their target group, and for how many they were before that was switched off.
    """

    groups: dict[str, dict[str, Any]]
    weights: dict[str, int]
    parts: dict[str, list[str]]
    sticky: tuple[int, int] = (0, 0)

    @property
    def serving(self) -> dict[str, float]:
        """Percent by version."""
        total = sum(self.weights.values()) or 1
        named = {self.groups.get(name, {}).get("version", name): w for name, w in self.weights.items() if w}
        return {version: 100 * weight / total for version, weight in named.items()}

    @property
    def names(self) -> set[str]:
        """Fleets of which anything is left, and whatever belongs to none."""
        fleets = {*self.groups, *self.parts["target groups"], *self.parts["templates"]}
        return fleets | {*self.parts["previews"], *self.parts["aside"]}


@dataclass(frozen=True)
class Camera:
    """Looks at one environment of an app; `target` is the listener or rule that it shifts."""

    state: State
    app: str
    env: str
    target: str
    _clients: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def _prefix(self) -> str:
        return naming.fleet_name(self.app, self.env, "").rpartition("-")[0]

    def client(self, service: str) -> Any:
        if service not in self._clients:
            import botocore.session

            keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "endpoint_url": self.state.endpoint_url}
            session = botocore.session.Session()
            self._clients[service] = session.create_client(service, region_name=self.state.region, **keys)
        return self._clients[service]

    def look(self) -> Picture:
        elb = self.client("elbv2")
        rules = elb.describe_rules(ListenerArn=self.state.listener_arn)["Rules"]
        parts = {
            "target groups": [g["TargetGroupName"] for g in elb.describe_target_groups()["TargetGroups"]],
            "templates": [
                t["LaunchTemplateName"] for t in self.client("ec2").describe_launch_templates()["LaunchTemplates"]
            ],
        }
        mine = {kind: sorted(n for n in names if n.startswith(self._prefix)) for kind, names in parts.items()}
        behind = [name for rule in rules for name in behind_header(rule) if name.startswith(self._prefix)]
        previews = [name for rule in rules for name in behind_header(rule, naming.PREVIEW_HEADER) if name in behind]
        aside = sorted(set(behind) - set(previews))
        forwards = [a["ForwardConfig"] for a in self._mine(rules)["Actions"] if "ForwardConfig" in a]
        weights = {_group(one): int(one["Weight"]) for forward in forwards for one in forward["TargetGroups"]}
        return Picture(self._groups(), weights, {**mine, "previews": previews, "aside": aside}, self._sticky(forwards))

    def keep_clients(self, seconds: int) -> None:
        """Keeps clients on their target group from now on, or not any more with 0, as a person would set it by hand."""
        elb = self.client("elbv2")
        (action,) = self._mine(elb.describe_rules(ListenerArn=self.state.listener_arn)["Rules"])["Actions"]
        config = {"Enabled": True, "DurationSeconds": seconds} if seconds else {"Enabled": False}
        action["ForwardConfig"]["TargetGroupStickinessConfig"] = config
        action.pop("TargetGroupArn", None)
        if self._owns_default:
            elb.modify_listener(ListenerArn=self.target, DefaultActions=[action])
        else:
            elb.modify_rule(RuleArn=self.target, Actions=[action])

    def _sticky(self, forwards: list[dict[str, Any]]) -> tuple[int, int]:
        (tagged,) = self.client("elbv2").describe_tags(ResourceArns=[self.target])["TagDescriptions"]
        kept = [int(tag["Value"]) for tag in tagged["Tags"] if tag["Key"] == naming.STICKINESS]
        configs = [forward.get("TargetGroupStickinessConfig", {}) for forward in forwards]
        on = [int(config["DurationSeconds"]) for config in configs if config.get("Enabled")]
        return sum(on), sum(kept)

    def builders(self) -> list[str]:
        """What bakes have left in the whole account: instances, key pairs, security groups."""
        ec2 = self.client("ec2")
        filters = [{"Name": "instance-state-name", "Values": LIVE}, {"Name": "tag-key", "Values": [naming.BAKE]}]
        found = ec2.describe_instances(Filters=filters)["Reservations"]
        groups = [group["GroupName"] for group in ec2.describe_security_groups()["SecurityGroups"]]
        return [
            *(instance["InstanceId"] for reservation in found for instance in reservation["Instances"]),
            *(pair["KeyName"] for pair in ec2.describe_key_pairs()["KeyPairs"]),
            *(name for name in groups if name != "default" and not name.startswith("shipit-sandbox")),
        ]

    def _groups(self) -> dict[str, dict[str, Any]]:
        asg = self.client("autoscaling")
        found = asg.describe_auto_scaling_groups()["AutoScalingGroups"]
        actions = asg.describe_scheduled_actions()["ScheduledUpdateGroupActions"]
        dated = {action["AutoScalingGroupName"] for action in actions}
        mine = [group for group in found if group["AutoScalingGroupName"].startswith(self._prefix)]
        return {group["AutoScalingGroupName"]: _seen(group, dated) for group in mine}

    def _mine(self, rules: list[dict[str, Any]]) -> dict[str, Any]:
        """The rule that is shifted."""
        arns = {self.target, *(rule["RuleArn"] for rule in rules if rule["IsDefault"] and self._owns_default)}
        return next(rule for rule in rules if rule["RuleArn"] in arns)

    @property
    def _owns_default(self) -> bool:
        return self.target == self.state.listener_arn


def _seen(group: dict[str, Any], dated: set[str]) -> dict[str, Any]:
    tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
    return {
        "version": tags.get(naming.VERSION, ""),
        "min": group["MinSize"],
        "desired": group["DesiredCapacity"],
        "max": group["MaxSize"],
        "in service": sum(one["LifecycleState"] == "InService" for one in group["Instances"]),
        "instances": len(group["Instances"]),
        "suspended": sorted(one["ProcessName"] for one in group["SuspendedProcesses"]),
        "pinned": naming.PIN in tags,
        "parked": naming.PARKED_UNTIL in tags,
        "dated": group["AutoScalingGroupName"] in dated,
        "leaving": naming.LEAVING in tags or bool(group.get("Status")),
        "exposure": tags.get(naming.EXPOSURE, ""),
    }


def behind_header(rule: dict[str, Any], *headers: str) -> list[str]:
    """The fleets that a rule of ours for one of these headers leads to; for any of ours by default."""
    wanted = set(headers or (naming.PREVIEW_HEADER, naming.ASIDE_HEADER))
    found = {one["HttpHeaderConfig"]["HttpHeaderName"] for one in rule["Conditions"] if "HttpHeaderConfig" in one}
    if found.isdisjoint(wanted):
        return []
    return [_group(one) for action in rule["Actions"] for one in action["ForwardConfig"]["TargetGroups"]]


def _group(one: dict[str, Any]) -> str:
    return str(one["TargetGroupArn"].split("/")[-2])


def complaints(picture: Picture, version: str, *, alone: bool, size: int = 2, low: int = 1) -> list[str]:
    """What is not as it must be when `version` serves everybody, with its own scaling settings; `alone`: and nothing else is
    there.
    """
    if picture.serving != {version: 100.0}:
        return [f"serving is {picture.serving}, not {version}"]
    name = next(name for name, weight in picture.weights.items() if weight)
    wanted = {"min": low, "desired": size, "max": 2 * size, "in service": size, "suspended": []}
    wanted |= dict.fromkeys(("pinned", "parked", "dated", "leaving"), False) | {"exposure": "all"}
    found = picture.groups[name]
    wrong = {key: found[key] for key, value in wanted.items() if found[key] != value}
    left = sorted(picture.names - {name}) if alone else picture.parts["previews"]
    texts = [f"serving fleet {name} has {json.dumps(wrong)}"] if wrong else []
    return texts + ([f"left behind: {', '.join(left)}"] if left else [])
