"""Why a launch failed: Auto Scaling's activities, sorted by whether waiting can help (field notes B4)."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from shipit.aws.errors import translated
from shipit.model import FailureKind, LaunchFailure

# Auto Scaling has no codes for these, only sentences; the message is always shown raw as well.
_PHRASES: tuple[tuple[str, FailureKind], ...] = (
    ("vcpulimitexceeded", FailureKind.QUOTA),
    ("instancelimitexceeded", FailureKind.QUOTA),
    ("instance(s) are already running", FailureKind.QUOTA),
    ("vcpu limit", FailureKind.QUOTA),
    ("not authorized", FailureKind.PERMISSION),
    ("unauthorizedoperation", FailureKind.PERMISSION),
    ("accessdenied", FailureKind.PERMISSION),
    ("capacity", FailureKind.CAPACITY),
    ("does not exist", FailureKind.CONFIGURATION),
    ("does not match", FailureKind.CONFIGURATION),
    ("invalid device name", FailureKind.CONFIGURATION),
    ("currently not supported", FailureKind.CONFIGURATION),
    ("target groups not found", FailureKind.CONFIGURATION),
    ("client.internalerror", FailureKind.CONFIGURATION),
)


def launch_failure(client: Any, group: str) -> LaunchFailure | None:
    """The newest failed launch of the group, unless a launch has succeeded since."""
    with translated(f"reading the scaling activities of {group}"):
        answer = client.describe_scaling_activities(AutoScalingGroupName=group, MaxRecords=20)
    launches = [a for a in answer["Activities"] if a.get("Description", "").startswith("Launching")]
    failed = list(takewhile(lambda activity: activity["StatusCode"] != "Successful", launches))
    failed = [a for a in failed if a["StatusCode"] in ("Failed", "Cancelled")]
    if not failed:
        return None
    message = failed[0].get("StatusMessage") or failed[0].get("Cause", "")
    return LaunchFailure(kind_of(message), message, len(failed))


def kind_of(message: str) -> FailureKind:
    """What kind of failure an activity's message speaks of."""
    text = message.lower()
    return next((kind for phrase, kind in _PHRASES if phrase in text), FailureKind.OTHER)
