"""How traffic is shifted: the weights in one listener's default action, or in one rule's, and the preview rule beside it.

ModifyListener and ModifyRule replace the whole action list, so it is read, changed in one place, written, and read back;
everything that is not a weight of ours stays as it was (field notes A3).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from shipit import naming
from shipit.aws.actions import Action, forward_of, weighted
from shipit.aws.errors import code_of, translated
from shipit.aws.groups import TargetGroups
from shipit.aws.preview import HeaderRules, has_room
from shipit.aws.session import Session
from shipit.aws.stickiness import Stickiness, config_of, sticky_seconds
from shipit.errors import CloudError, Drifted, NotFound
from shipit.model import Route, Split
from shipit.ports import Clock

ROUTING = frozenset({"forward", "fixed-response", "redirect"})
READ_BACK_ATTEMPTS = 10
WRITE_ATTEMPTS = 6
# Errors that waiting may cure. Whether a write that failed took effect is read back, whatever the error.
WORTH_ANOTHER_TRY = frozenset(
    {
        "Unreachable",
        "Unreadable",
        "InternalFailure",
        "InternalError",
        "InternalServerError",
        "ServiceUnavailable",
        "500",
    }
    | {"502", "503", "504", "RequestTimeout", "", "Throttling", "ThrottlingException", "TooManyRequestsException"}
)


class AwsTraffic:
    """Implements `ports.Traffic`. `rule_arn` None means the listener's default action."""

    def __init__(
        self, session: Session, groups: TargetGroups, clock: Clock, listener_arn: str, rule_arn: str | None = None
    ) -> None:
        self._session = session
        self._groups = groups
        self._clock = clock
        self._listener = listener_of(rule_arn) if rule_arn else listener_arn
        self._rule = rule_arn
        self._preview = HeaderRules(session, groups, self._listener, naming.PREVIEW_HEADER)
        self._aside = HeaderRules(session, groups, self._listener, naming.ASIDE_HEADER)
        self._stickiness = Stickiness(session, groups, rule_arn or listener_arn)

    @property
    def _elb(self) -> Any:
        return self._session.client("elbv2")

    def observe(self) -> Route:
        rules = self._rules()
        mine = self._mine(rules)
        actions = mine["Actions"]
        forward = forward_of(actions)
        previewed = next(iter(self._preview.fleets(rules)), None)
        ours, sticky = self._weights(actions), sticky_seconds(forward)
        others = (t for t in weighted(forward) if not self._groups.ours(t["TargetGroupArn"]))
        foreign = {_tail(t["TargetGroupArn"]): t["Weight"] for t in others}
        return Route(
            Split(ours),
            foreign,
            vacant=any(action["Type"] == "fixed-response" for action in actions),
            preview=previewed,
            preview_token=self._preview.token(rules, previewed, mine) if previewed else "",
            aside=frozenset(self._aside.fleets(rules)),
            previewable=has_room(mine) and not any(action["Type"].startswith("authenticate") for action in actions),
            sticky_seconds=sticky,
            kept_sticky_seconds=self._stickiness.kept(ours, sticky),
            obstacle=_obstacle(actions),
        )

    def shift(self, split: Split, expected: Split) -> Route:
        """Writes only when something differs, so it may be called twice. Raises `CloudError` when AWS does not take it.

        Where shares move, clients with a cookie come along: the same write switches stickiness off (field notes A7).
        """
        return self._set(split, expected)

    def keep_stickiness(self, seconds: int) -> None:
        self._stickiness.keep(seconds)

    def restore_stickiness(self, name: str) -> None:
        route = self.observe()
        # A person may have given it everything by a weight of 1.
        expected = route.split if route.split.percent(name) == 100 else Split({name: 100})
        self._set(Split({name: 100}), expected, route.sticky_seconds or route.kept_sticky_seconds)
        self._stickiness.forget()

    def keep_aside(self, name: str) -> None:
        rules = self._rules()
        self._aside.open(name, rules, self._mine(rules), self._rules)

    def leave_aside(self, name: str) -> None:
        self._aside.close(self._rules(), [name])

    def _set(self, split: Split, expected: Split, sticky: int | None = None) -> Route:
        """Weights and stickiness; None: off where shares move, else as it is. No write is repeated blindly: between a write that timed
        out and its repetition somebody may have sent traffic home.
        """
        for attempt in range(WRITE_ATTEMPTS):
            actions = self._mine(self._rules())["Actions"]
            before, now = self._weights(actions), sticky_seconds(forward_of(actions))
            if sticky is None:
                sticky = now if Split(before).shares == split.shares else 0
            if before == dict(split.weights) and now == sticky:
                return self.observe()
            _refuse_drift(before, expected, split)
            failure = self._write(self._changed(actions, split, sticky))
            route = self._read_back(split, expected, sticky, 1 if failure else READ_BACK_ATTEMPTS)
            if route:
                return route
            if failure is None or code_of(failure) not in WORTH_ANOTHER_TRY:
                break
            self._clock.sleep(min(5.0, 0.2 * 2**attempt))
        raise failure or CloudError(
            "the listener does not show the weights that were written",
            f"wanted {dict(split.weights)}, found {before}",
            "shipit status",
        )

    def _read_back(self, split: Split, expected: Split, sticky: int, attempts: int) -> Route | None:
        """The route once it shows the weights; None when it still shows the old ones after the last look. Not written again
        meanwhile: what is seen may be late, and somebody may have sent traffic home in between.
        """
        for attempt in range(attempts):
            route = self.observe()
            if dict(route.split.weights) == dict(split.weights) and route.sticky_seconds == sticky:
                return route
            _refuse_drift(route.split.weights, expected, split)
            if attempt + 1 < attempts:
                self._clock.sleep(min(2.0, 0.1 * 2**attempt))
        return None

    def open_preview(self, name: str) -> None:
        rules = self._rules()
        self._preview.close(rules, self._preview.known(rules) - {name})
        self._preview.open(name, rules, self._mine(rules), self._rules)

    def close_preview(self) -> None:
        rules = self._rules()
        self._preview.close(rules, self._preview.known(rules))

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

    def _weights(self, actions: Sequence[Action]) -> dict[str, int]:
        """The weights of our fleets; the tags of all groups in the action are known afterwards."""
        tuples = weighted(forward_of(actions))
        self._groups.prove([self._stickiness.arn, *(t["TargetGroupArn"] for t in tuples)])
        ours = (t for t in tuples if self._groups.ours(t["TargetGroupArn"]))
        return {self._groups.name(t["TargetGroupArn"]): t["Weight"] for t in ours}

    def _changed(self, actions: Sequence[Action], split: Split, sticky: int) -> list[Action]:
        """The action list with our weights and this stickiness, everything else untouched."""
        result = copy.deepcopy(list(actions))
        for action in result:
            if action["Type"] == "authenticate-oidc":
                # Describe never returns the secret; without this the login of all users breaks (field notes A3).
                action["AuthenticateOidcConfig"].pop("ClientSecret", None)
                action["AuthenticateOidcConfig"]["UseExistingClientSecret"] = True
        place = next(i for i, action in enumerate(result) if action["Type"] in ROUTING)
        old = result[place]
        foreign = [t for t in weighted(old) if not self._groups.ours(t["TargetGroupArn"])]
        ours = [{"TargetGroupArn": self._groups.arn(name), "Weight": weight} for name, weight in split.weights.items()]
        config = {**old.get("ForwardConfig", {}), "TargetGroups": [*ours, *foreign]}
        if sticky != sticky_seconds(old):
            config["TargetGroupStickinessConfig"] = config_of(sticky)
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


def _refuse_drift(before: Mapping[str, int], expected: Split, wanted: Split) -> None:
    """Raises `Drifted` when the shares are neither those that the decision rests on nor those that are to be written."""
    found = Split(before).shares
    if found not in (expected.shares, wanted.shares):
        raise Drifted(
            "somebody else moved the traffic",
            f"expected {expected.shares}, found {found}",
            "shipit status; then the same command with --accept-drift, or shipit rollback",
        )


def listener_of(rule_arn: str) -> str:
    """The listener that a rule belongs to: `...:listener-rule/app/LB/ID/LISTENER/RULE` without its last part."""
    return rule_arn.replace(":listener-rule/", ":listener/").rsplit("/", 1)[0]


def _obstacle(actions: Sequence[Action]) -> str:
    kinds = [action["Type"] for action in actions if action["Type"] in ROUTING]
    return (
        "the listener redirects every request"
        if "redirect" in kinds
        else ""
        if kinds
        else "it routes no request anywhere"
    )


def _tail(arn: str) -> str:
    return arn.rsplit(":", 1)[-1]
