"""The preview rule: requests with a header go to one fleet alone, which starts the health checks of its targets.

What is read may be late: a rule that was made a moment ago is remembered, or a second one would be made beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shipit import naming
from shipit.aws.actions import forward_of, weighted
from shipit.aws.errors import code_of, translated
from shipit.aws.groups import TargetGroups
from shipit.aws.session import Session
from shipit.errors import CloudError, NotFound, Refused

LAST_PRIORITY = 50_000
Rules = Sequence[Mapping[str, Any]]


class Preview:
    """The preview rules of one app and environment on one listener."""

    def __init__(self, session: Session, groups: TargetGroups, listener_arn: str) -> None:
        self._session = session
        self._groups = groups
        self._listener = listener_arn
        self._made: dict[str, str] = {}

    def fleets(self, rules: Rules) -> dict[str, list[str]]:
        """Our preview rules: fleet name -> ARNs of its rules."""
        found: dict[str, list[str]] = {}
        for rule in rules:
            if not any(_is_preview(condition) for condition in rule.get("Conditions", [])):
                continue
            arns = [t["TargetGroupArn"] for t in weighted(forward_of(rule["Actions"]))]
            self._groups.prove(arns)
            for arn in (arn for arn in arns if self._groups.ours(arn)):
                found.setdefault(self._groups.name(arn), []).append(rule["RuleArn"])
        return found

    def open(self, name: str, rules: Rules, conditions: list[dict[str, Any]], again: Callable[[], Rules]) -> None:
        """Makes the rule of this fleet the only one. `conditions` are those of the rule that is shifted, `again` reads anew."""
        previews = self.fleets(rules)
        for arn in (arn for other in set(previews) - {name} for arn in previews[other]):
            self._delete(arn)
        if name in previews or self._was_made(name):
            return
        taken = {int(rule["Priority"]) for rule in rules if rule["Priority"] != "default"}
        # Before the rule that is shifted, where that can be; behind it, the header has no effect but health checks start.
        for priority in (number for number in range(1, LAST_PRIORITY + 1) if number not in taken):
            if self._create(name, priority, [*conditions, _condition(name)]) or name in self.fleets(again()):
                return
        raise Refused(
            "there is no free rule priority for the preview", f"{len(taken)} are taken", "free one on the listener"
        )

    def close(self, rules: Rules) -> None:
        """Removes every preview rule of ours, also one that cannot be seen yet."""
        for arn in dict.fromkeys(
            [*(arn for arns in self.fleets(rules).values() for arn in arns), *self._made.values()]
        ):
            self._delete(arn)
        self._made.clear()

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

    def _create(self, name: str, priority: int, conditions: list[dict[str, Any]]) -> bool:
        """False when the priority is taken: by somebody else, or by our own try that was answered with an error."""
        forward = {"Type": "forward", "TargetGroupArn": self._groups.arn(name)}
        try:
            with translated("opening the preview"):
                answer = self._elb.create_rule(
                    ListenerArn=self._listener,
                    Priority=priority,
                    Conditions=conditions,
                    Actions=[forward],
                    Tags=self._groups.own_tags(),
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


def _condition(fleet: str) -> dict[str, Any]:
    return {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": naming.PREVIEW_HEADER, "Values": [fleet]}}


def _is_preview(condition: Mapping[str, Any]) -> bool:
    name = condition.get("HttpHeaderConfig", {}).get("HttpHeaderName", "")
    return bool(condition.get("Field") == "http-header" and name.lower() == naming.PREVIEW_HEADER)
