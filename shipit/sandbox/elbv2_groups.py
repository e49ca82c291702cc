"""Target groups as ELBv2 checks and keeps them: health check ranges, attributes, and when two are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.elbv2.exceptions import ELBClientError

from shipit.sandbox.seams import HealthCheck

# Parameter, least, greatest (field note A5).
CHECK_RANGES = (
    ("HealthCheckIntervalSeconds", 5, 300),
    ("HealthCheckTimeoutSeconds", 2, 120),
    ("HealthyThresholdCount", 2, 10),
    ("UnhealthyThresholdCount", 2, 10),
)
# How much faster than the wire says a fast sandbox checks: botocore refuses to send an interval below 5 s.
FAST_FACTOR = 5.0
# Two busy cores answer late now and then; a timeout below this would blame the app for it.
FAST_TIMEOUT_SECONDS = 1.0

_BOOLEANS = ("true", "false")
_COUNTS = ("off", *map(str, range(1, 1001)))
_PERCENTAGES = ("off", *map(str, range(1, 101)))
_ROUTING = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
_FAILOVER = "target_group_health.dns_failover.minimum_healthy_targets"

# Key -> what AWS has when nobody set it (None: nothing), and the values that it takes.
ATTRIBUTES: Mapping[str, tuple[str | None, tuple[str, ...] | range | None]] = {
    "deregistration_delay.timeout_seconds": ("300", range(3601)),
    "load_balancing.algorithm.anomaly_mitigation": ("off", ("on", "off")),
    "load_balancing.algorithm.type": ("round_robin", ("round_robin", "least_outstanding_requests", "weighted_random")),
    "load_balancing.cross_zone.enabled": (
        "use_load_balancer_configuration",
        (*_BOOLEANS, "use_load_balancer_configuration"),
    ),
    "slow_start.duration_seconds": ("0", range(901)),
    "stickiness.app_cookie.cookie_name": (None, None),
    "stickiness.app_cookie.duration_seconds": (None, range(1, 604801)),
    "stickiness.enabled": ("false", _BOOLEANS),
    "stickiness.lb_cookie.duration_seconds": ("86400", range(1, 604801)),
    "stickiness.type": ("lb_cookie", ("lb_cookie", "app_cookie")),
    f"{_FAILOVER}.count": ("1", _COUNTS),
    f"{_FAILOVER}.percentage": ("off", _PERCENTAGES),
    f"{_ROUTING}.count": ("1", _COUNTS[1:]),
    f"{_ROUTING}.percentage": ("off", _PERCENTAGES),
}


def check_settings(params: Mapping[str, Any], current: Mapping[str, Any], *, fast: bool) -> None:
    """Refuses health check settings out of AWS's ranges. `current` has what is in force for those that are not sent."""
    for name, least, greatest in CHECK_RANGES:
        value = params.get(name)
        lowest = 1 if fast and name.endswith("Seconds") else least
        if value is not None and not lowest <= int(value) <= greatest:
            raise _invalid(f"Value '{value}' at '{name[0].lower() + name[1:]}' must be between {lowest} and {greatest}")
    both = {**current, **{name: value for name, value in params.items() if value is not None}}
    interval, timeout = int(both["HealthCheckIntervalSeconds"]), int(both["HealthCheckTimeoutSeconds"])
    if timeout >= interval and not fast:
        raise _invalid(f"Health check timeout '{timeout}' must be smaller than the interval '{interval}'")


def check_attributes(attributes: Mapping[str, str]) -> None:
    """Refuses unknown keys and values that the key does not take."""
    for key, value in attributes.items():
        if key not in ATTRIBUTES:
            raise _invalid(f"Target group attribute key '{key}' is not recognized")
        _check_attribute(key, str(value))
    if 0 < int(attributes.get("slow_start.duration_seconds", 0)) < 30:
        raise _invalid("'slow_start.duration_seconds' must be 0 or between 30 and 900 inclusive")


def _check_attribute(key: str, value: str) -> None:
    allowed = ATTRIBUTES[key][1]
    if isinstance(allowed, range):
        if not value.isdigit() or int(value) not in allowed:
            text = f"'{key}' value '{value}' must be between '{allowed.start}-{allowed.stop - 1}' inclusive"
            raise _invalid(text)
    elif allowed is not None and value not in allowed:
        raise _invalid(f"'{key}' value '{value}' is not one that the key takes")


def complete(attributes: dict[str, Any]) -> None:
    """Makes moto's attributes of a new group those that AWS has: text, with the newer keys, without a stray one."""
    attributes.pop("waf.fail_open.enabled", None)
    for key, (default, _) in ATTRIBUTES.items():
        if default is not None:
            attributes[key] = str(attributes.get(key, default))


def settings(group: Any) -> dict[str, Any]:
    """All by which CreateTargetGroup tells "the same settings" from "different settings"."""
    names = (
        "protocol protocol_version port vpc_id target_type ip_address_type health_check_protocol health_check_port "
        "health_check_path health_check_interval_seconds health_check_timeout_seconds healthy_threshold_count "
        "unhealthy_threshold_count matcher"
    )
    return {name: _plain(getattr(group, name, None)) for name in names.split()}


def _plain(value: Any) -> Any:
    """Ports and counts are text or number, depending on who wrote them."""
    return str(value) if isinstance(value, int) else value


def health_check(group: Any, *, fast: bool) -> HealthCheck:
    """The group's check for the balancer; in a fast sandbox it runs `FAST_FACTOR` times as often."""
    interval, timeout = float(group.health_check_interval_seconds), float(group.health_check_timeout_seconds)
    port = str(group.health_check_port)
    return HealthCheck(
        path=group.health_check_path or "/",
        port=int(port) if port.isdigit() else None,
        interval_seconds=interval / FAST_FACTOR if fast else interval,
        timeout_seconds=max(FAST_TIMEOUT_SECONDS, timeout / FAST_FACTOR) if fast else timeout,
        healthy_threshold=int(group.healthy_threshold_count),
        unhealthy_threshold=int(group.unhealthy_threshold_count),
        matcher=group.matcher["HttpCode"],
    )


def sticky_seconds(attributes: Mapping[str, Any]) -> int | None:
    """How long a client stays with one target, or None."""
    on = attributes.get("stickiness.enabled") == "true" and attributes.get("stickiness.type") == "lb_cookie"
    return int(attributes["stickiness.lb_cookie.duration_seconds"]) if on else None


def _invalid(text: str) -> ELBClientError:
    return ELBClientError("ValidationError", text)
