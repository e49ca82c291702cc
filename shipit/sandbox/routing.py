"""Listeners and rules, as DescribeRules words them, into the table that `route.lua` reads.

The table is a Lua literal: HAProxy parses it faster than any JSON reader written in Lua would, and people can read it.
Nothing else is in it, and it is loaded with an empty environment.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, ip_network
from typing import Any

from shipit.sandbox.seams import Listener, Rule

Lua = dict[str, Any]


def listener_table(listener: Listener, backend_of: Mapping[str, str]) -> Lua:
    """One listener. `backend_of` maps target group ARNs to HAProxy backends; a group without one answers 503."""
    return {
        "port": listener.port,
        "proto": "https" if listener.port in (443, 8443) else "http",
        "rules": [_rule(rule, backend_of) for rule in listener.rules],
    }


def stuck_table(seconds: int, servers: Sequence[str]) -> Lua:
    """A group with target stickiness: cookie token to server, for those that may get requests, and back."""
    tokens = {token(server): server for server in servers}
    return {"seconds": seconds, "servers": tokens, "tokens": {server: text for text, server in tokens.items()}}


def token(name: str) -> str:
    """What a stickiness cookie says instead of the name."""
    return hashlib.sha256(name.encode()).hexdigest()[:24]


def literal(value: object) -> str:
    """The value as a Lua literal. Mappings to None-less tables, sequences to lists."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return '"' + "".join(_quoted(byte) for byte in value.encode()) + '"'
    if isinstance(value, Mapping):
        return (
            "{" + ",".join(f"[{literal(key)}]={literal(item)}" for key, item in value.items() if item is not None) + "}"
        )
    if isinstance(value, Sequence):
        return "{" + ",".join(map(literal, value)) + "}"
    raise TypeError(f"no Lua literal for {value!r}")


def _quoted(byte: int) -> str:
    return chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03d}"


def _rule(rule: Rule, backend_of: Mapping[str, str]) -> Lua:
    return {"conditions": [_condition(condition) for condition in rule.conditions], "action": _action(rule, backend_of)}


def _action(rule: Rule, backend_of: Mapping[str, str]) -> Lua:
    """The routing action. Authentication is passed over: the sandbox has no identity provider."""
    action: Mapping[str, Any] = next(a for a in rule.actions if a["Type"] in ("forward", "redirect", "fixed-response"))
    if action["Type"] == "redirect":
        return _redirect(action["RedirectConfig"])
    if action["Type"] == "fixed-response":
        return _fixed(action["FixedResponseConfig"])
    return _forward(action, backend_of)


def _forward(action: Mapping[str, Any], backend_of: Mapping[str, str]) -> Lua:
    config = action.get("ForwardConfig") or {"TargetGroups": [{"TargetGroupArn": action["TargetGroupArn"]}]}
    groups = [
        {"backend": backend_of.get(arn, "nowhere"), "weight": int(group.get("Weight", 1)), "token": token(arn)}
        for group in config["TargetGroups"]
        for arn in [group["TargetGroupArn"]]
    ]
    stickiness = config.get("TargetGroupStickinessConfig") or {}
    return {
        "kind": "forward",
        "groups": groups,
        "total": sum(group["weight"] for group in groups),
        "sticky_seconds": int(stickiness["DurationSeconds"]) if stickiness.get("Enabled") else None,
    }


def _fixed(config: Mapping[str, Any]) -> Lua:
    return {
        "kind": "fixed",
        "status": int(config["StatusCode"]),
        "content_type": config.get("ContentType") or "text/plain",
        "body": config.get("MessageBody") or "",
    }


def _redirect(config: Mapping[str, Any]) -> Lua:
    host, port = config.get("Host", "#{host}"), config.get("Port", "#{port}")
    path, query = config.get("Path", "/#{path}"), config.get("Query", "#{query}")
    protocol = config.get("Protocol", "#{protocol}").replace("HTTPS", "https").replace("HTTP", "http")
    return {
        "kind": "redirect",
        "status": int(config["StatusCode"].removeprefix("HTTP_")),
        "location": f"{protocol}://{host}:{port}{path}" + (f"?{query}" if query else ""),
    }


def _condition(condition: Mapping[str, Any]) -> Lua:
    field = condition["Field"]
    values = _values(condition)
    if field == "path-pattern":
        return {"field": "path", "patterns": [_pattern(value) for value in values]}
    if field == "host-header":
        return {"field": "host", "patterns": [_pattern(value.lower()) for value in values]}
    if field == "http-request-method":
        return {"field": "method", "patterns": [_pattern(value) for value in values]}
    if field == "http-header":
        name = condition["HttpHeaderConfig"]["HttpHeaderName"].lower()
        return {"field": "header", "name": name, "patterns": [_pattern(value.lower()) for value in values]}
    if field == "query-string":
        return {"field": "query", "pairs": [_pair(value) for value in values]}
    return {
        "field": "source",
        "ranges": [_range(network) for network in map(ip_network, values) if network.version == 4],
    }


def _values(condition: Mapping[str, Any]) -> Sequence[Any]:
    """The values, wherever they are: `Values` (old form) or the one `…Config` that the condition carries."""
    configs = (value for key, value in condition.items() if key.endswith("Config"))
    config = next(configs, None) or condition
    return list(config["Values"])


def _pair(pair: Mapping[str, str]) -> Lua:
    key = pair.get("Key")
    return {"key": _pattern(key.lower()) if key else None, "value": _pattern(pair["Value"].lower())}


def _range(network: Any) -> Lua:
    assert isinstance(network, IPv4Network)
    return {"first": int(network.network_address), "last": int(network.broadcast_address)}


def _pattern(glob: str) -> str:
    """An ALB wildcard (`*`, `?`) as an anchored Lua pattern."""
    escaped = re.sub(r"[^A-Za-z0-9]", lambda match: "%" + match.group(), glob)
    return "^" + escaped.replace("%*", ".*").replace("%?", ".") + "$"
