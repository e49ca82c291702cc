"""What ELBv2 accepts as the actions of a listener or rule, and the shape in which it keeps them (field notes A2, A3).

moto takes nearly anything (J8); a deployer tested against that would break on its first real weight.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moto.elbv2.exceptions import ELBClientError

Action = dict[str, Any]

ROUTING = ("forward", "redirect", "fixed-response")
MOST_GROUPS = 5
GREATEST_WEIGHT = 999
LONGEST_STICKINESS_SECONDS = 604800


@dataclass(frozen=True)
class KnownGroup:
    """What the rules for actions must know of a target group: where it serves, and whether it has target stickiness."""

    load_balancers: frozenset[str]
    protocol: str
    sticky: bool = False


@dataclass(frozen=True)
class Setting:
    """Where the actions go. `group` finds a target group by ARN; `before` are the actions that they replace."""

    load_balancer_arn: str
    protocol: str
    group: Callable[[str], KnownGroup | None]
    before: Sequence[Mapping[str, Any]] = ()


def checked(actions: Sequence[Mapping[str, Any]], setting: Setting) -> list[Action]:
    """The actions as AWS keeps them, or the error that AWS gives."""
    ordered = _in_order(actions)
    routing = [action for action in ordered if action["Type"] in ROUTING]
    if len(routing) != 1 or ordered[-1] is not routing[0]:
        raise ELBClientError(
            "InvalidLoadBalancerAction",
            "You must specify exactly one forward, redirect or fixed-response, as the last action",
        )
    return [_checked_action(normal(action), setting) for action in ordered]


def normal(action: Mapping[str, Any]) -> Action:
    """The shape of Describe: a forward has its ForwardConfig, and with one group the TargetGroupArn too; no secrets."""
    kept = copy.deepcopy(dict(action))
    if kept["Type"] == "forward":
        _normalise_forward(kept)
    # The sandbox logs nobody in: a secret that is not kept cannot leak. That there was one is all that matters later.
    kept.get("AuthenticateOidcConfig", {}).pop("ClientSecret", None)
    kept.get("AuthenticateOidcConfig", {}).pop("UseExistingClientSecret", None)
    return kept


def normal_condition(condition: Mapping[str, Any]) -> Action:
    """Paths and hosts are described in both their shapes, whichever was sent."""
    name = {"path-pattern": "PathPatternConfig", "host-header": "HostHeaderConfig"}.get(condition.get("Field", ""))
    if name is None:
        return dict(condition)
    values = condition.get("Values") or condition[name]["Values"]
    return {**condition, "Values": values, name: {"Values": values}}


def group_arns(actions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every target group that the actions name, whatever its weight."""
    return [group["TargetGroupArn"] for action in actions for group in _tuples(action)]


def check_secrets(actions: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> None:
    """OIDC needs a secret, or an OIDC action of the same issuer and client that has one already."""
    known = [_client(action) for action in before if action["Type"] == "authenticate-oidc"]
    for action in actions:
        if action["Type"] != "authenticate-oidc":
            continue
        config = action["AuthenticateOidcConfig"]
        existing = config.get("UseExistingClientSecret") and _client(action) in known
        if not config.get("ClientSecret") and not existing:
            raise _invalid("You must specify a client secret, or use the existing one of the same issuer and client")


def _client(action: Mapping[str, Any]) -> tuple[Any, Any]:
    config = action["AuthenticateOidcConfig"]
    return config.get("Issuer"), config.get("ClientId")


def _in_order(actions: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if len(actions) < 2:
        return list(actions)
    orders = [action.get("Order") for action in actions]
    if None in orders or len(set(orders)) < len(orders):
        raise _invalid("Every action needs an Order of its own when there is more than one")
    return sorted(actions, key=lambda action: int(action["Order"]))


def _normalise_forward(action: Action) -> None:
    arn = action.get("TargetGroupArn")
    config = action.setdefault("ForwardConfig", {})
    groups = config.setdefault("TargetGroups", [])
    if arn and not groups:
        groups.append({"TargetGroupArn": arn})
    if len(groups) == 1:
        groups[0].setdefault("Weight", 1)
        action.setdefault("TargetGroupArn", groups[0]["TargetGroupArn"])
    for group in groups:
        if "Weight" in group:
            group["Weight"] = int(group["Weight"])
    config.setdefault("TargetGroupStickinessConfig", {"Enabled": False})


def _checked_action(action: Action, setting: Setting) -> Action:
    kind = action["Type"]
    if kind.startswith("authenticate-") and setting.protocol != "HTTPS":
        raise ELBClientError(
            "InvalidLoadBalancerAction", f"Actions of type '{kind}' are supported only on HTTPS listeners"
        )
    if kind == "forward":
        _check_forward(action, setting)
    return action


def _check_forward(action: Action, setting: Setting) -> None:
    groups = _tuples(action)
    arns = [group["TargetGroupArn"] for group in groups]
    if "TargetGroupArn" in action and arns != [action["TargetGroupArn"]]:
        raise ELBClientError(
            "InvalidLoadBalancerAction", "With a target group ARN, ForwardConfig may name that one target group only"
        )
    if not groups:
        raise _invalid("A forward action must specify a target group")
    if len(groups) > MOST_GROUPS:
        raise ELBClientError(
            "TooManyTargetGroups", f"An action can have at most {MOST_GROUPS} target groups, not {len(groups)}"
        )
    if len(set(arns)) < len(arns):
        raise _invalid("A target group cannot be specified more than once in an action")
    _check_weights(groups)
    _check_stickiness(action, setting)
    for arn in arns:
        _check_group(arn, setting)


def _check_weights(groups: Sequence[Mapping[str, Any]]) -> None:
    for position, group in enumerate(groups, 1):
        weight = group.get("Weight")
        if weight is None:
            raise _invalid("You must specify a weight for each target group when there is more than one")
        if not 0 <= weight <= GREATEST_WEIGHT:
            where = f"actions.1.member.forwardConfig.targetGroups.{position}.member.weight"
            raise _invalid(f"Value '{weight}' at '{where}' must be between 0 and {GREATEST_WEIGHT}")
    if not any(group["Weight"] for group in groups):
        raise _invalid("At least one target group of the action must have a weight above 0")


def _check_stickiness(action: Action, setting: Setting) -> None:
    config = action["ForwardConfig"]["TargetGroupStickinessConfig"]
    seconds = config.get("DurationSeconds")
    if config.get("Enabled") and seconds is None:
        raise _invalid("You must specify a duration when target group stickiness is enabled")
    if seconds is not None and not 1 <= int(seconds) <= LONGEST_STICKINESS_SECONDS:
        raise _invalid(f"The stickiness duration must be between 1 and {LONGEST_STICKINESS_SECONDS} seconds")
    groups = [setting.group(arn) for arn in group_arns([action])]
    if len(groups) > 1 and any(group and group.sticky for group in groups) and not config.get("Enabled"):
        raise ELBClientError(
            "InvalidConfigurationRequest",
            "You must enable group stickiness on a rule if you enabled target stickiness on one of its target groups",
        )


def _check_group(arn: str, setting: Setting) -> None:
    group = setting.group(arn)
    if group is None:
        raise ELBClientError("TargetGroupNotFound", f"Target groups '{arn}' not found")
    if group.load_balancers - {setting.load_balancer_arn}:
        text = f"The following target groups cannot be associated with more than one load balancer: {arn}"
        raise ELBClientError("TargetGroupAssociationLimit", text)
    if group.protocol not in ("HTTP", "HTTPS"):
        raise ELBClientError("IncompatibleProtocols", f"Target group '{arn}' does not speak HTTP")


def _tuples(action: Mapping[str, Any]) -> list[Action]:
    if action["Type"] != "forward":
        return []
    groups: list[Action] = (action.get("ForwardConfig") or {}).get("TargetGroups") or []
    return groups or [{"TargetGroupArn": action["TargetGroupArn"]}]


def _invalid(text: str) -> ELBClientError:
    return ELBClientError("ValidationError", text)
