"""What moto does not know, said as AWS says it.

In server mode moto answers an unknown action with an HTML page and status 500: botocore retries it, then fails to parse
it, and the caller never learns which call it was (field note J12).
"""

from __future__ import annotations

from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, OperationNotFoundError


class InvalidAction(ServiceException):  # type: ignore[misc]
    """The action is not one of the service's, or the sandbox lacks it."""

    code = "InvalidAction"


class CleanUnimplemented:
    """Put it before a moto response class among the bases: unknown and missing actions become `InvalidAction`, 400."""

    def _dispatch(self, *args: Any, **kwargs: Any) -> Any:
        """One call. Unknown to botocore's model, or known to it but not to moto: the same answer."""
        response: Any = self
        try:
            return super()._dispatch(*args, **kwargs)  # type: ignore[misc]
        except (NotImplementedError, OperationNotFoundError):
            text = f"The sandbox does not have the action {response._get_action()} of {response.service_name}."
            return response.serialized(ActionResult(InvalidAction(text)))
