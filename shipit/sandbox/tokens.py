"""Client tokens: asking twice with the same token does the thing once (field note C1).

Source: https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from moto.ec2.exceptions import EC2ClientError


class Tokens:
    """Remembers the result of every tokened call by action and token. Not locked: the caller holds its service's
    lock.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[str, Any]] = {}

    def once(self, action: str, params: Mapping[str, Any], act: Callable[[], Any]) -> Any:
        """The result of `act`, or of the earlier call with the same token; raises `IdempotentParameterMismatch` if it
        asked for something else.
        """
        token = params.get("ClientToken")
        if not token:
            return act()
        asked = json.dumps(params, sort_keys=True, default=str)
        if (action, token) not in self._seen:
            self._seen[action, token] = (asked, act())
        before, result = self._seen[action, token]
        if before != asked:
            raise EC2ClientError(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
            )
        return result
