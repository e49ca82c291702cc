"""Errors as AWS sends them, in each of its wire protocols, so that botocore raises a `ClientError` and not a parser
error.
"""

from __future__ import annotations

import json
import uuid
from xml.sax.saxutils import escape

from shipit.sandbox.wire import Answer

_JSON_SERVICES = frozenset({"dynamodb", "ssm"})


def fault(service: str, code: str, message: str, *, status: int = 400, json_protocol: bool = False) -> Answer:
    """An error answer of `service`; `json_protocol` when the request spoke JSON although the service knows both."""
    request_id = str(uuid.uuid4())
    if json_protocol or service in _JSON_SERVICES:
        text = json.dumps({"__type": code, "message": message})
        kind = "application/x-amz-json-1.0"
    else:
        text = _xml(service, escape(code), escape(message), request_id, "Sender" if status < 500 else "Receiver")
        kind = "text/xml"
    return Answer(status, text.encode(), {"Content-Type": kind, "x-amzn-RequestId": request_id})


def _xml(service: str, code: str, message: str, request_id: str, side: str) -> str:
    if service == "ec2":
        error = f"<Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors>"
        return f"<Response>{error}<RequestID>{request_id}</RequestID></Response>"
    error = f"<Error><Type>{side}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return f"<ErrorResponse>{error}<RequestId>{request_id}</RequestId></ErrorResponse>"
