"""Calls to the sandbox's own API without a socket: the seed speaks the same wire protocol as everybody else."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from shipit.sandbox.api import Api
from shipit.sandbox.wire import Request

_VERSIONS = {"ec2": "2016-11-15", "elasticloadbalancing": "2015-12-01", "iam": "2010-05-08"}
_SCOPE = "AWS4-HMAC-SHA256 Credential=shipit-sandbox/20300101/{}/{}/aws4_request, SignedHeaders=host, Signature=0"


class Inside:
    """The query protocol, enough of it: `ask("ec2", "CreateVpc", CidrBlock=...)` returns the values of one element."""

    def __init__(self, api: Api, region: str) -> None:
        self._api = api
        self._region = region

    def ask(self, service: str, action: str, element: str, **params: Any) -> str:
        """The text of the first `element` of the answer, empty when there is none. Raises `RuntimeError` with the
        whole answer on an error.
        """
        fields = {"Action": action, "Version": _VERSIONS[service]} | _flat(
            "", params, "" if service == "ec2" else ".member"
        )
        headers = {
            "Authorization": _SCOPE.format(self._region, service),
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "Host": "127.0.0.1",
        }
        answer = self._api.answer(Request("POST", "/", headers, urlencode(fields).encode()))
        text = answer.body.decode()
        if answer.status != 200:
            raise RuntimeError(f"{service} {action}: {text}")
        found = next((one for one in ET.fromstring(text).iter() if one.tag.rpartition("}")[2] == element), None)
        return (found.text or "") if found is not None else ""


def _flat(prefix: str, value: Any, listed: str) -> dict[str, str]:
    """Nested parameters in dotted names; `listed` is what stands between a list's name and its index."""
    if isinstance(value, Mapping):
        pairs = [(f"{prefix}.{name}" if prefix else str(name), part) for name, part in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        pairs = [(f"{prefix}{listed}.{number}", part) for number, part in enumerate(value, 1)]
    else:
        return {prefix: str(value)}
    return {name: text for inner, part in pairs for name, text in _flat(inner, part, listed).items()}
