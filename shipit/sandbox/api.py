"""The AWS wire protocol: finds out which service and action a request means and hands it to moto's response class.

moto's own server does the same through Flask and a list of 300 host patterns; a credential scope names the service
just as well (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html), at a tenth
of the time.
"""

from __future__ import annotations

import importlib
import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from shipit.sandbox.faults import fault
from shipit.sandbox.wire import Answer, Request

log = logging.getLogger(__name__)

# Signing name -> moto's module.
SERVICES = {
    "ec2": "ec2",
    "elasticloadbalancing": "elbv2",
    "autoscaling": "autoscaling",
    "iam": "iam",
    "sts": "sts",
    "dynamodb": "dynamodb",
    "monitoring": "cloudwatch",
    "ssm": "ssm",
    "cloudformation": "cloudformation",
    "sns": "sns",
}

_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([^/]*)/([^/]+)/aws4_request")
_ACTION = re.compile(rb"(?:^|&)Action=(\w+)")
_JSON = "application/x-amz-json"


@dataclass(frozen=True)
class Call:
    """One AWS call: `service` is moto's module name, `action` as in the API reference, `params` the body as sent."""

    service: str
    region: str
    action: str
    request: Request

    @property
    def speaks_json(self) -> bool:
        return self.request.headers.get("Content-Type", "").startswith(_JSON)


# What may stand between a caller and the service: gets the call and the way to carry it out.
Around = Callable[[Call, Callable[[], Answer]], Answer]


class Api:
    """Answers requests. `pages` are extra paths (`("GET", "/_shipit/status")`), `locks` the services that bring their
    own lock, `before` and `after` are told each call that is carried out, without a lock held; `around` may be set to
    stand between callers and services (chaos).

    moto's backends are plain dictionaries without locks of their own, and a conditional write of DynamoDB must be
    atomic: every service is entered by one thread at a time.
    """

    def __init__(
        self,
        pages: Mapping[tuple[str, str], Callable[[bytes], object]],
        locks: Mapping[str, AbstractContextManager[Any]] | None = None,
        before: Callable[[Call], None] = lambda _: None,
        after: Callable[[Call], None] = lambda _: None,
    ) -> None:
        self._pages = dict(pages)
        self._locks = {name: threading.RLock() for name in SERVICES.values()} | dict(locks or {})
        self._before, self._after = before, after
        self._handlers: dict[str, Callable[..., Any]] = {}
        self.around: Around | None = None

    def answer(self, request: Request) -> Answer:
        page = self._pages.get((request.method, request.path))
        if page is not None:
            return _page(page, request.body)
        call = _understand(request)
        if call is None:
            return fault("", "MissingAuthenticationToken", "The sandbox serves signed AWS requests only.", status=403)
        if call.service not in self._locks:
            return fault(call.service, "InvalidAction", f"The sandbox does not have the service {call.service!r}.")
        return self.around(call, lambda: self._carry_out(call)) if self.around else self._carry_out(call)

    def _carry_out(self, call: Call) -> Answer:
        try:
            self._before(call)
            with self._locks[call.service]:
                answer = _ask_moto(self._handler(call.service), call)
            self._after(call)
        except NotImplementedError as gap:
            reason = str(gap) or "not implemented"
            return _fault_of(
                call, "InvalidAction", f"The sandbox does not know {call.action} of {call.service}: {reason}", 400
            )
        except Exception as bug:
            # Also a bug of ours must reach the caller as AWS would say it: HTML makes botocore retry and then fail to
            # parse.
            log.exception("%s %s failed", call.service, call.action)
            return _fault_of(call, "InternalFailure", f"{call.action}: {type(bug).__name__}: {bug}", 500)
        else:
            return answer

    def _handler(self, service: str) -> Callable[..., Any]:
        if service not in self._handlers:
            paths = importlib.import_module(f"moto.{service}.urls").url_paths
            self._handlers[service] = paths.get("{0}/") or paths["{0}/$"]
        return self._handlers[service]


def _understand(request: Request) -> Call | None:
    scope = _SCOPE.search(request.headers.get("Authorization", ""))
    target = request.headers.get("X-Amz-Target", "")
    found = _ACTION.search(request.body) or _ACTION.search(request.query.encode())
    action = target.rpartition(".")[2] or (found[1].decode() if found else "")
    if scope:
        return Call(SERVICES.get(scope[2], scope[2]), scope[1], action, request)
    if action.startswith("AssumeRoleWith"):
        return Call("sts", "us-east-1", action, request)
    return None


def _ask_moto(handler: Callable[..., Any], call: Call) -> Answer:
    from moto.core.request import Request as MotoRequest

    asked = MotoRequest(_environ(call.request))
    asked.from_wsgi_server = True
    status, headers, body = handler(asked, asked.raw_url, dict(asked.headers))
    kept = {
        str(name): str(value) for name, value in headers.items() if name.lower() not in ("status", "content-length")
    }
    return Answer(int(status), body.encode() if isinstance(body, str) else body or b"", kept)


def _environ(request: Request) -> dict[str, Any]:
    environ: dict[str, Any] = {
        f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers.items()
    }
    return environ | {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query,
        "REQUEST_URI": request.target,
        "RAW_URI": request.target,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(request.body),
    }


def _fault_of(call: Call, code: str, message: str, status: int) -> Answer:
    return fault(call.service, code, message, status=status, json_protocol=call.speaks_json)


def _page(page: Callable[[bytes], object], body: bytes) -> Answer:
    return Answer(200, json.dumps(page(body), indent=2).encode() + b"\n", {"Content-Type": "application/json"})
