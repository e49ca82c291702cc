"""How traffic is shifted: the weights in one listener's default action, or in one rule's, and the preview rule beside it.

ModifyListener and ModifyRule replace the whole action list, so it is read, changed in one place, written, and read back;
everything that is not a weight of ours stays as it was (field notes A3).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from shipit import naming
from shipit.aws.errors import code_of, translated
from shipit.aws.groups import TargetGroups
from shipit.aws.session import Session
from shipit.errors import CloudError, NotFound, Refused
from shipit.model import Route, Split

Action = dict[str, Any]
ROUTING = frozenset({"forward", "fixed-response", "redirect"})
READ_BACK_ATTEMPTS = 5
LAST_PRIORITY = 50_000


class AwsTraffic:
    """Implements `ports.Traffic`. `rule_arn` None means the listener's default action."""

    def __init__(self, session: Session, groups: TargetGroups, listener_arn: str, rule_arn: str | None = None) -> None:
        self._session = session
        self._groups = groups
        self._listener = listener_of(rule_arn) if rule_arn else listener_arn
        self._rule = rule_arn

    @property
    def _elb(self) -> Any:
        return self._session.client("elbv2")

    def observe(self) -> Route:
        rules = self._rules()
        actions = self._mine(rules)["Actions"]
        forward = _forward(actions)
        previews = self._preview_rules(rules)
        ours = self._weights(actions)
        others = (t for t in _tuples(forward) if not self._groups.ours(t["TargetGroupArn"]))
        foreign = {_tail(t["TargetGroupArn"]): t["Weight"] for t in others}
        sticky = forward.get("ForwardConfig", {}).get("TargetGroupStickinessConfig", {}) if forward else {}
        return Route(
            Split(ours),
            foreign,
            vacant=any(action["Type"] == "fixed-response" for action in actions),
            preview=next(iter(previews), None),
            previewable=not any(action["Type"].startswith("authenticate") for action in actions),
            sticky_seconds=int(sticky.get("DurationSeconds", 0)) if sticky.get("Enabled") else 0,
            obstacle=_obstacle(actions),
        )

    def shift(self, split: Split) -> Route:
        """Writes only when the weights differ, so it may be called twice. Raises `CloudError` when AWS does not take it."""
        actions = self._mine(self._rules())["Actions"]
        before = self._weights(actions)
        failure: CloudError | None = None
        if before != dict(split.weights):
            failure = self._write(self._with_weights(actions, split))
        for _ in range(READ_BACK_ATTEMPTS):
            route = self.observe()
            if dict(route.split.weights) == dict(split.weights):
                return route
            if failure:
                break
        raise failure or CloudError(
            "the listener does not show the weights that were written",
            f"wanted {dict(split.weights)}, found {dict(route.split.weights)}: somebody else may have changed it",
            "shipit status",
        )

    def open_preview(self, name: str) -> None:
        rules = self._rules()
        previews = self._preview_rules(rules)
        for other in set(previews) - {name}:
            self._delete_rule(previews[other])
        if name in previews:
            return
        conditions = [*_conditions(self._mine(rules)), _header_condition(name)]
        taken = {int(rule["Priority"]) for rule in rules if rule["Priority"] != "default"}
        # Before the rule that is shifted, where that can be; behind it, the header has no effect but health checks start.
        for priority in (number for number in range(1, LAST_PRIORITY + 1) if number not in taken):
            if self._create_rule(priority, conditions, self._groups.arn(name)):
                return
        raise Refused(
            "there is no free rule priority for the preview", f"{len(taken)} are taken", "free one on the listener"
        )

    def close_preview(self) -> None:
        for arn in self._preview_rules(self._rules()).values():
            self._delete_rule(arn)

    def _rules(self) -> list[dict[str, Any]]:
        """All rules of the listener: the default one carries the listener's default actions."""
        with translated(f"reading the rules of {_tail(self._listener)}"):
            pages = self._elb.get_paginator("describe_rules").paginate(ListenerArn=self._listener)
            return [rule for page in pages for rule in page["Rules"]]

    def _mine(self, rules: Sequence[dict[str, Any]]) -> dict[str, Any]:
        for rule in rules:
            if rule["RuleArn"] == self._rule or (self._rule is None and rule["IsDefault"]):
                return rule
        raise NotFound(
            f"rule {self._rule} is not on the listener", "it may have been deleted", "check traffic.rule in shipit.yml"
        )

    def _preview_rules(self, rules: Sequence[dict[str, Any]]) -> dict[str, str]:
        """Our preview rules: fleet name -> rule ARN."""
        found = {}
        for rule in rules:
            if not any(_is_preview(condition) for condition in rule.get("Conditions", [])):
                continue
            arns = [t["TargetGroupArn"] for t in _tuples(_forward(rule["Actions"]))]
            self._groups.prove(arns)
            found.update({self._groups.name(arn): rule["RuleArn"] for arn in arns if self._groups.ours(arn)})
        return found

    def _weights(self, actions: Sequence[Action]) -> dict[str, int]:
        """The weights of our fleets; the tags of all groups in the action are known afterwards."""
        tuples = _tuples(_forward(actions))
        self._groups.prove([t["TargetGroupArn"] for t in tuples])
        ours = (t for t in tuples if self._groups.ours(t["TargetGroupArn"]))
        return {self._groups.name(t["TargetGroupArn"]): t["Weight"] for t in ours}

    def _with_weights(self, actions: Sequence[Action], split: Split) -> list[Action]:
        """The action list with our weights, everything else untouched."""
        result = copy.deepcopy(list(actions))
        for action in result:
            if action["Type"] == "authenticate-oidc":
                # Describe never returns the secret; without this the login of all users breaks (field notes A3).
                action["AuthenticateOidcConfig"].pop("ClientSecret", None)
                action["AuthenticateOidcConfig"]["UseExistingClientSecret"] = True
        place = next(i for i, action in enumerate(result) if action["Type"] in ROUTING)
        old = result[place]
        foreign = [t for t in _tuples(old) if not self._groups.ours(t["TargetGroupArn"])]
        ours = [{"TargetGroupArn": self._groups.arn(name), "Weight": weight} for name, weight in split.weights.items()]
        config = {**old.get("ForwardConfig", {}), "TargetGroups": [*ours, *foreign]}
        result[place] = {
            "Type": "forward",
            "ForwardConfig": config,
            **({"Order": old["Order"]} if "Order" in old else {}),
        }
        return result

    def _write(self, actions: list[Action]) -> CloudError | None:
        """One write. An error is returned, not raised: it may have taken effect all the same, which reading back tells."""
        try:
            with translated("shifting traffic"):
                if self._rule:
                    self._elb.modify_rule(RuleArn=self._rule, Actions=actions)
                else:
                    self._elb.modify_listener(ListenerArn=self._listener, DefaultActions=actions)
        except CloudError as error:
            return error
        return None

    def _create_rule(self, priority: int, conditions: list[dict[str, Any]], group_arn: str) -> bool:
        """False when somebody else has just taken the priority."""
        forward = {"Type": "forward", "TargetGroupArn": group_arn}
        try:
            with translated("opening the preview"):
                self._elb.create_rule(
                    ListenerArn=self._listener,
                    Priority=priority,
                    Conditions=conditions,
                    Actions=[forward],
                    Tags=self._groups.own_tags(),
                )
        except CloudError as error:
            if code_of(error) != "PriorityInUse":
                raise
            # A retried call may meet its own earlier success (field notes D2).
            return self._groups.name(group_arn) in self._preview_rules(self._rules())
        return True

    def _delete_rule(self, arn: str) -> None:
        try:
            with translated("closing the preview"):
                self._elb.delete_rule(RuleArn=arn)
        except NotFound:
            pass


def listener_of(rule_arn: str) -> str:
    """The listener that a rule belongs to: `...:listener-rule/app/LB/ID/LISTENER/RULE` without its last part."""
    return rule_arn.replace(":listener-rule/", ":listener/").rsplit("/", 1)[0]


def _forward(actions: Sequence[Action]) -> Action | None:
    return next((action for action in actions if action["Type"] == "forward"), None)


def _tuples(action: Action | None) -> list[dict[str, Any]]:
    """Target groups with weights. Describe gives a single group in two forms, of which one may be missing (A2, J9)."""
    if action is None:
        return []
    tuples = action.get("ForwardConfig", {}).get("TargetGroups", [])
    if not tuples and "TargetGroupArn" in action:
        return [{"TargetGroupArn": action["TargetGroupArn"], "Weight": 1}]
    return [{"TargetGroupArn": t["TargetGroupArn"], "Weight": int(t.get("Weight", 1))} for t in tuples]


def _obstacle(actions: Sequence[Action]) -> str:
    kinds = [action["Type"] for action in actions if action["Type"] in ROUTING]
    return (
        "the listener redirects every request"
        if "redirect" in kinds
        else ""
        if kinds
        else "it routes no request anywhere"
    )


def _conditions(rule: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A rule's conditions in the shape that CreateRule takes: `Values` only where the config block does not carry them."""
    return [
        {key: value for key, value in c.items() if key != "Values" or len(c) == 2} for c in rule.get("Conditions", [])
    ]


def _header_condition(fleet: str) -> dict[str, Any]:
    return {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": naming.PREVIEW_HEADER, "Values": [fleet]}}


def _is_preview(condition: Mapping[str, Any]) -> bool:
    name = condition.get("HttpHeaderConfig", {}).get("HttpHeaderName", "")
    return bool(condition.get("Field") == "http-header" and name.lower() == naming.PREVIEW_HEADER)


def _tail(arn: str) -> str:
    return arn.rsplit(":", 1)[-1]
