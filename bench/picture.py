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
    """`groups` by fleet: sizes, marks, instances; `weights` by fleet; `parts` are the names of everything else."""

    groups: dict[str, dict[str, Any]]
    weights: dict[str, int]
    parts: dict[str, list[str]]

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
        return fleets | set(self.parts["previews"])


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
        previews = [name for rule in rules for name in _previewed(rule) if name.startswith(self._prefix)]
        return Picture(self._groups(), self._weights(rules), {**mine, "previews": previews})

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

    def _weights(self, rules: list[dict[str, Any]]) -> dict[str, int]:
        arns = {self.target, *(rule["RuleArn"] for rule in rules if rule["IsDefault"] and self._owns_default)}
        mine = next(rule for rule in rules if rule["RuleArn"] in arns)
        tuples = [one for action in mine["Actions"] for one in action.get("ForwardConfig", {}).get("TargetGroups", [])]
        return {one["TargetGroupArn"].split("/")[-2]: int(one["Weight"]) for one in tuples}

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


def _previewed(rule: dict[str, Any]) -> list[str]:
    configs = [one["HttpHeaderConfig"] for one in rule["Conditions"] if "HttpHeaderConfig" in one]
    return [value for one in configs if one["HttpHeaderName"] == naming.PREVIEW_HEADER for value in one["Values"]]


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
