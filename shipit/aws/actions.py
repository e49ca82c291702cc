"""Actions of listeners and rules, as ELBv2 describes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Action = dict[str, Any]


def forward_of(actions: Sequence[Action]) -> Action | None:
    """The action that forwards, if there is one."""
    return next((action for action in actions if action["Type"] == "forward"), None)


def weighted(action: Action | None) -> list[dict[str, Any]]:
    """Target groups with weights. Describe gives a single group in two forms, of which one may be missing (A2, J9)."""
    if action is None:
        return []
    tuples = action.get("ForwardConfig", {}).get("TargetGroups", [])
    if not tuples and "TargetGroupArn" in action:
        return [{"TargetGroupArn": action["TargetGroupArn"], "Weight": 1}]
    return [{"TargetGroupArn": t["TargetGroupArn"], "Weight": int(t.get("Weight", 1))} for t in tuples]
