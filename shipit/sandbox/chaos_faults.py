"""What a service says when it throttles, breaks or refuses: each has its own words for it.

Sources: Common Error Types of the query API, the EC2 API error codes, and the error tables of DynamoDB and SSM.
"""

from __future__ import annotations

from dataclasses import dataclass

from shipit.sandbox.api import Call
from shipit.sandbox.faults import fault
from shipit.sandbox.wire import Answer

_USER = "arn:aws:sts::123456789012:assumed-role/shipit/session"
# moto's module names that differ from the prefix of IAM actions.
_PREFIXES = {"elbv2": "elasticloadbalancing"}


@dataclass(frozen=True)
class Words:
    """A code, its HTTP status and a message; `{action}` stands for the IAM name of the call."""

    code: str
    status: int
    message: str


_THROTTLED = {
    "ec2": Words("RequestLimitExceeded", 503, "Request limit exceeded."),
    "dynamodb": Words("ProvisionedThroughputExceededException", 400, "The level of configured throughput is exceeded."),
    "ssm": Words("ThrottlingException", 400, "Rate exceeded"),
    "": Words("Throttling", 400, "Rate exceeded"),
}
_BROKEN = {
    "ec2": Words("InternalError", 500, "An internal error has occurred"),
    "dynamodb": Words("InternalServerError", 500, "Internal server error"),
    "ssm": Words("InternalServerError", 500, "An error occurred on the server side."),
    "": Words("InternalFailure", 500, "The request processing has failed because of an unknown error."),
}
_REFUSAL = f"User: {_USER} is not authorized to perform: {{action}}"
_DENIED = {
    "ec2": Words("UnauthorizedOperation", 403, f"You are not authorized to perform this operation. {_REFUSAL}"),
    "dynamodb": Words("AccessDeniedException", 400, _REFUSAL),
    "ssm": Words("AccessDeniedException", 400, _REFUSAL),
    "": Words("AccessDenied", 403, _REFUSAL),
}
_EXPIRED = {
    "ec2": Words("RequestExpired", 400, "Request has expired."),
    "dynamodb": Words("ExpiredTokenException", 400, "The security token included in the request is expired"),
    "ssm": Words("ExpiredTokenException", 400, "The security token included in the request is expired"),
    "": Words("ExpiredToken", 403, "The security token included in the request is expired"),
}
_FULL = {"": Words("InsufficientInstanceCapacity", 500, "There is not enough capacity to fulfill your request.")}
_BY_KIND = {
    "throttle": _THROTTLED,
    "error-before": _BROKEN,
    "error-after": _BROKEN,
    "denied": _DENIED,
    "expired": _EXPIRED,
    "capacity": _FULL,
}
NO_CAPACITY = (
    "We currently do not have sufficient t3.micro capacity in the Availability Zone you requested ({subnet}). Our "
    "system will be working on provisioning additional capacity. Launching EC2 instance failed."
)


def fault_for(kind: str, call: Call) -> Answer:
    """The error answer of a kind of chaos, as the call's service words it."""
    table = _BY_KIND[kind]
    words = table.get(call.service, table[""])
    action = f"{_PREFIXES.get(call.service, call.service)}:{call.action}"
    message = words.message.format(action=action)
    return fault(call.service, words.code, message, status=words.status, json_protocol=call.speaks_json)
