"""Target groups and launch templates without a fleet: found by tag, and proved idle anew right before they are deleted.

A target group has no date; its template has one, and is made before it. Its name is no proof of ownership, tags are; that
nothing is sent to it is proved by the rules of every load balancer that it is attached to (field notes A9, I4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from shipit import naming
from shipit.aws.errors import code_of, translated
from shipit.aws.groups import TAGS_PER_CALL
from shipit.aws.session import Session
from shipit.errors import CloudError, NotFound, Refused
from shipit.found import Group, Naming

_IN_USE = "ResourceInUse"


class AwsLeftovers:
    """Parts of fleets of one app and environment. `action` is the ARN of the listener or rule that shipit shifts."""

    def __init__(self, session: Session, app: str, env: str, action: str) -> None:
        self._session = session
        self._app = app
        self._env = env
        self._action = action

    def groups(self) -> Mapping[str, Group]:
        """Our target groups by name, each with every action that names it."""
        with translated("listing the target groups"):
            found = _items(self._elb.get_paginator("describe_target_groups"), "TargetGroups")
        named_so = [group for group in found if group["TargetGroupName"].startswith(self._prefix)]
        return self._with_namings(self._ours(named_so))

    def templates(self) -> Mapping[str, datetime]:
        """Our launch templates by name, with the time of their making."""
        filters = [_filter(f"tag:{naming.APP}", self._app), _filter(f"tag:{naming.ENV}", self._env)]
        with translated("listing the launch templates"):
            found = _items(self._ec2.get_paginator("describe_launch_templates"), "LaunchTemplates", Filters=filters)
        return {template["LaunchTemplateName"]: template["CreateTime"] for template in found}

    def delete_group(self, group: Group) -> bool:
        """True when it is gone; False while AWS still calls it in use. Raises `Refused` when something needs it by now."""
        try:
            with translated(f"reading target group {group.name}"):
                described = self._elb.describe_target_groups(TargetGroupArns=[group.arn])["TargetGroups"]
        except NotFound:
            return True
        proved = self._with_namings(self._ours(described)).get(group.name)
        if proved is None:
            raise self._foreign(f"target group {group.name}")
        self._refuse_fleet(group.name)
        if proved.namings:
            rules = ", ".join(named.rule for named in proved.namings)
            raise Refused(f"target group {group.name} is kept", f"{rules} names it by now", "shipit gc")
        return self._delete_group(group)

    def delete_template(self, name: str) -> None:
        """Deletes the template with all its versions. Raises `Refused` when it is not ours, or its fleet is there."""
        try:
            with translated(f"reading launch template {name}"):
                (found,) = self._ec2.describe_launch_templates(LaunchTemplateNames=[name])["LaunchTemplates"]
        except NotFound:
            return
        if not self._is_ours(_tags(found)):
            raise self._foreign(f"launch template {name}")
        self._refuse_fleet(name)
        try:
            with translated(f"deleting launch template {name}"):
                self._ec2.delete_launch_template(LaunchTemplateId=found["LaunchTemplateId"])
        except NotFound:
            pass

    def _delete_group(self, group: Group) -> bool:
        try:
            with translated(f"deleting target group {group.name}"):
                self._elb.delete_target_group(TargetGroupArn=group.arn)
        except NotFound:
            return True
        except CloudError as error:
            if code_of(error) != _IN_USE:
                raise
            return False
        return True

    def _refuse_fleet(self, name: str) -> None:
        with translated(f"looking for Auto Scaling group {name}"):
            found = self._asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        if found:
            raise Refused(f"the parts of {name} are kept", "there is an Auto Scaling group of that name", "shipit gc")

    def _foreign(self, what: str) -> Refused:
        return Refused(f"{what} is kept", f"its tags do not say {self._app}/{self._env}", "shipit gc")

    def _ours(self, described: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Those whose tags, read now, say so."""
        arns = [group["TargetGroupArn"] for group in described]
        proved: set[str] = set()
        for start in range(0, len(arns), TAGS_PER_CALL):
            rows = self._tagged(arns[start : start + TAGS_PER_CALL])
            proved |= {row["ResourceArn"] for row in rows if self._is_ours(_tags(row))}
        return [group for group in described if group["TargetGroupArn"] in proved]

    def _tagged(self, arns: Sequence[str]) -> list[dict[str, Any]]:
        """One that has been deleted meanwhile fails the whole call: then each is asked for alone."""
        try:
            with translated("reading the tags of target groups"):
                return list(self._elb.describe_tags(ResourceArns=list(arns))["TagDescriptions"])
        except NotFound:
            return [row for arn in arns for row in self._tagged([arn])] if len(arns) > 1 else []

    def _with_namings(self, described: Sequence[Mapping[str, Any]]) -> dict[str, Group]:
        balancers = {arn for group in described for arn in group.get("LoadBalancerArns", ())}
        if described:
            balancers.add(balancer_of(self._action))
        namings = self._namings(sorted(balancers))
        made = {}
        for group in described:
            name, arn = group["TargetGroupName"], group["TargetGroupArn"]
            made[name] = Group(name, arn, tuple(namings.get(arn, ())))
        return made

    def _namings(self, balancers: Iterable[str]) -> Mapping[str, list[Naming]]:
        """By ARN of a target group: every action of every rule of these load balancers that names it."""
        found: dict[str, list[Naming]] = {}
        for balancer in balancers:
            with translated("reading the listeners of the load balancer"):
                listeners = _items(self._elb.get_paginator("describe_listeners"), "Listeners", LoadBalancerArn=balancer)
            for listener in listeners:
                for rule in self._rules(listener):
                    for arn, weight in _weights(rule["Actions"]):
                        found.setdefault(arn, []).append(self._naming(listener, rule, weight))
        return found

    def _rules(self, listener: Mapping[str, Any]) -> list[dict[str, Any]]:
        with translated(f"reading the rules of listener {listener['Port']}"):
            return _items(self._elb.get_paginator("describe_rules"), "Rules", ListenerArn=listener["ListenerArn"])

    def _naming(self, listener: Mapping[str, Any], rule: Mapping[str, Any], weight: int) -> Naming:
        which = "the default action" if rule["IsDefault"] else f"rule {rule['Priority']}"
        own = self._action == rule["RuleArn"] or (rule["IsDefault"] and self._action == listener["ListenerArn"])
        headers = [c.get("HttpHeaderConfig", {}).get("HttpHeaderName", "") for c in rule.get("Conditions", ())]
        preview = not {naming.PREVIEW_HEADER, naming.ASIDE_HEADER}.isdisjoint(header.lower() for header in headers)
        return Naming(f"{which} of listener {listener['Port']}", weight, own, preview)

    def _is_ours(self, tags: Mapping[str, str]) -> bool:
        return (tags.get(naming.APP), tags.get(naming.ENV)) == (self._app, self._env)

    @property
    def _prefix(self) -> str:
        """What the names of all fleets of this app and environment begin with."""
        return naming.fleet_name(self._app, self._env, "").rpartition("-")[0] + "-"

    @property
    def _elb(self) -> Any:
        return self._session.client("elbv2")

    @property
    def _ec2(self) -> Any:
        return self._session.client("ec2")

    @property
    def _asg(self) -> Any:
        return self._session.client("autoscaling")


def balancer_of(arn: str) -> str:
    """The load balancer that a listener or rule belongs to."""
    parts = arn.replace(":listener-rule/", ":loadbalancer/").replace(":listener/", ":loadbalancer/").split("/")
    return "/".join(parts[:4])


def _weights(actions: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Target groups with their weights, in whichever of the two forms an action is described (field notes A2, J9)."""
    found = []
    for action in actions:
        if action["Type"] != "forward":
            continue
        tuples = action.get("ForwardConfig", {}).get("TargetGroups", [])
        if not tuples and "TargetGroupArn" in action:
            tuples = [{"TargetGroupArn": action["TargetGroupArn"]}]
        found += [(t["TargetGroupArn"], int(t.get("Weight", 1))) for t in tuples]
    return found


def _items(paginator: Any, key: str, **request: Any) -> list[dict[str, Any]]:
    return [item for page in paginator.paginate(**request) for item in page[key]]


def _tags(described: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in described.get("Tags") or ()}


def _filter(name: str, *values: str) -> dict[str, Any]:
    return {"Name": name, "Values": list(values)}
