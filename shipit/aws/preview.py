"""Rules for requests with a header: they go to one fleet alone, which starts the health checks of its targets. What the header must say
is drawn anew for each rule, since names of fleets are no secret.

What is read may be late: a rule that was made a moment ago is remembered, or a second one would be made beside it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from shipit.aws.actions import forward_of, weighted
from shipit.aws.errors import code_of, translated
from shipit.aws.groups import TargetGroups
from shipit.aws.session import Session
from shipit.errors import CloudError, NotFound, Refused

LAST_PRIORITY = 50_000
MOST_VALUES = 5
Rules = Sequence[Mapping[str, Any]]


class HeaderRules:
    """The rules of one app and environment on one listener that wait for this header."""

    def __init__(self, session: Session, groups: TargetGroups, listener_arn: str, header: str) -> None:
        self._session = session
        self._groups = groups
        self._listener = listener_arn
        self._header = header
        self._made: dict[str, str] = {}

    def fleets(self, rules: Rules) -> dict[str, list[str]]:
        """Fleet name -> ARNs of its rules."""
        found: dict[str, list[str]] = {}
        for rule in rules:
            if not any(self._is_ours(condition) for condition in rule.get("Conditions", [])):
                continue
            arns = [t["TargetGroupArn"] for t in weighted(forward_of(rule["Actions"]))]
            self._groups.prove(arns)
            for arn in (arn for arn in arns if self._groups.ours(arn)):
                found.setdefault(self._groups.name(arn), []).append(rule["RuleArn"])
        return found

    def token(self, rules: Rules, name: str, before: Mapping[str, Any]) -> str:
        """What the header must say for this fleet; empty where there is no rule, or where it comes after the rule `before`, which gets
        the requests then.
        """
        arns = self.fleets(rules).get(name, [])
        for rule in rules:
            if rule["RuleArn"] in arns and _comes_before(rule, before):
                return str(
                    next(v for c in rule["Conditions"] if self._is_ours(c) for v in c["HttpHeaderConfig"]["Values"])
                )
        return ""

    def open(self, name: str, rules: Rules, like: Mapping[str, Any], again: Callable[[], Rules]) -> None:
        """Makes a rule for the fleet where there is none, for the requests of the rule `like`, which is shifted; `again` reads anew."""
        if name in self.fleets(rules) or self._was_made(name):
            return
        taken = {int(rule["Priority"]) for rule in rules if rule["Priority"] != "default"}
        # Before the rule that is shifted, where that can be; behind it, the header has no effect but health checks start.
        for priority in (number for number in range(1, LAST_PRIORITY + 1) if number not in taken):
            condition = self._condition(secrets.token_hex(8))
            if self._create(name, priority, condition, like) or name in self.fleets(again()):
                return
        raise Refused(
            "there is no free rule priority for a preview", f"{len(taken)} are taken", "free one on the listener"
        )

    def known(self, rules: Rules) -> set[str]:
        """The fleets that have such a rule, also one that cannot be seen yet."""
        return {*self.fleets(rules), *self._made}

    def close(self, rules: Rules, names: Iterable[str]) -> None:
        """Removes the rules of these fleets."""
        found = self.fleets(rules)
        for name in names:
            made = [self._made.pop(name)] if name in self._made else []
            for arn in dict.fromkeys([*found.get(name, ()), *made]):
                self._delete(arn)

    @property
    def _elb(self) -> Any:
        return self._session.client("elbv2")

    def _was_made(self, name: str) -> bool:
        """True while the rule that this process made for the fleet exists, seen among the others or not."""
        if name not in self._made:
            return False
        try:
            with translated("looking for the preview"):
                return bool(self._elb.describe_rules(RuleArns=[self._made[name]])["Rules"])
        except NotFound:
            return False

    def _create(self, name: str, priority: int, condition: dict[str, Any], like: Mapping[str, Any]) -> bool:
        """False when the priority is taken: by somebody else, or by our own try that was answered with an error."""
        forward = {"Type": "forward", "TargetGroupArn": self._groups.arn(name)}
        # A rewritten path is what the app knows: without it, the same request would be answered otherwise.
        rewrites = {"Transforms": like["Transforms"]} if like.get("Transforms") else {}
        try:
            with translated("opening the preview"):
                answer = self._elb.create_rule(
                    ListenerArn=self._listener,
                    Priority=priority,
                    Conditions=[*_conditions(like), condition],
                    Actions=[forward],
                    Tags=self._groups.own_tags(),
                    **rewrites,
                )
        except CloudError as error:
            if code_of(error) != "PriorityInUse":
                raise
            return False
        self._made[name] = answer["Rules"][0]["RuleArn"]
        return True

    def _delete(self, arn: str) -> None:
        try:
            with translated("closing the preview"):
                self._elb.delete_rule(RuleArn=arn)
        except NotFound:
            pass

    def _condition(self, token: str) -> dict[str, Any]:
        return {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": self._header, "Values": [token]}}

    def _is_ours(self, condition: Mapping[str, Any]) -> bool:
        name = condition.get("HttpHeaderConfig", {}).get("HttpHeaderName", "")
        return bool(condition.get("Field") == "http-header" and name.lower() == self._header)


def has_room(rule: Mapping[str, Any]) -> bool:
    """Whether one more condition fits: a rule takes five values over all its conditions (quota of Application Load Balancers)."""
    return sum(len(c.get("Values") or _config(c).get("Values", ())) for c in rule.get("Conditions", [])) < MOST_VALUES


def _conditions(rule: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A rule's conditions in the shape that CreateRule takes: `Values` only where the config block does not carry them."""
    return [
        {key: value for key, value in c.items() if key != "Values" or len(c) == 2} for c in rule.get("Conditions", [])
    ]


def _config(condition: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((value for key, value in condition.items() if key.endswith("Config")), {})


def _comes_before(rule: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(other["IsDefault"]) or int(rule["Priority"]) < int(other["Priority"])
