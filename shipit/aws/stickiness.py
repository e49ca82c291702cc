"""Target group stickiness of the action that is shifted: what it was is kept in a tag while it is switched off.

A client with a cookie goes where the cookie says, whatever the weights are (field notes A7). The tag is on the listener, or on the
rule, so that whoever comes after a crash, on any machine, finds what has to be put back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shipit import naming
from shipit.aws.actions import Action
from shipit.aws.errors import translated
from shipit.aws.groups import TargetGroups
from shipit.aws.session import Session


class Stickiness:
    """The setting of one listener's default action, or of one rule's. `arn` names which."""

    def __init__(self, session: Session, groups: TargetGroups, arn: str) -> None:
        self._session = session
        self._groups = groups
        self.arn = arn
        self._seen: object = None
        self._known = 0

    def kept(self, weights: Mapping[str, int], sticky: int) -> int:
        """For how many seconds clients were kept before it was switched off; 0 when it was not. Somebody who has changed the action may
        have written the tag, so it is read again then. Where it is off and there is no tag, what this process knows holds: another
        one that ends may forget the tag right before we shift.
        """
        if self._seen not in (None, (weights, sticky)):
            self._groups.forget(self.arn)
            self._groups.prove([self.arn])
        self._seen = weights, sticky
        value = self._groups.tags(self.arn).get(naming.STICKINESS, "")
        return int(value) if value.isdecimal() else 0 if sticky else self._known

    def keep(self, seconds: int) -> None:
        """Writes down what is set, before it is switched off."""
        with translated("writing down the stickiness of the listener"):
            self._elb.add_tags(ResourceArns=[self.arn], Tags=[{"Key": naming.STICKINESS, "Value": str(seconds)}])
        self._groups.tags(self.arn)[naming.STICKINESS] = str(seconds)
        self._known = seconds

    def forget(self) -> None:
        """It is set again."""
        with translated("forgetting the stickiness of the listener"):
            self._elb.remove_tags(ResourceArns=[self.arn], TagKeys=[naming.STICKINESS])
        self._groups.tags(self.arn).pop(naming.STICKINESS, None)

    @property
    def _elb(self) -> Any:
        return self._session.client("elbv2")


def sticky_seconds(forward: Action | None) -> int:
    """For how many seconds the action keeps clients on their target group; 0 when it does not."""
    config: Mapping[str, Any] = (forward or {}).get("ForwardConfig", {}).get("TargetGroupStickinessConfig", {})
    return int(config.get("DurationSeconds", 0)) if config.get("Enabled") else 0


def config_of(seconds: int) -> dict[str, Any]:
    """The same, as AWS wants it: a duration only where it is on."""
    return {"Enabled": True, "DurationSeconds": seconds} if seconds else {"Enabled": False}
