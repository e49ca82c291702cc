"""Canary schedules: "5% 30s, 25% 1m, 100%" as stages, and back."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from itertools import pairwise

from shipit.errors import UsageError
from shipit.model import Stage

EXAMPLE = "5% 30s, 25% 1m, 100%"
AT_ONCE = (Stage(Fraction(100)),)
LONGEST_HOLD_SECONDS = 30 * 24 * 3600.0
_STAGE = re.compile(r"(?P<percent>\d{1,3}(\.\d)?)\s*%(\s+(?P<hold>\d+(\.\d+)?)\s*(?P<unit>s|m|h))?")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_schedule(text: str) -> tuple[Stage, ...]:
    """Stages of a schedule: shares of 0.1 to 100 percent, growing, each with an optional hold; the last is 100 %.

    A hold at 100 % watches the new fleet while the old one is still whole and one write away.

    Raises `UsageError` with the offending part.
    """
    stages = tuple(_parse_stage(part.strip()) for part in text.split(","))
    for before, after in pairwise(stages):
        if after.percent <= before.percent:
            raise _bad(text, f"shares must grow, but {_share(after)} follows {_share(before)}")
    if stages[-1].percent != 100:
        raise _bad(text, f"the last stage must be 100%, not {_share(stages[-1])}")
    return stages


def format_schedule(stages: tuple[Stage, ...]) -> str:
    """The schedule as `parse_schedule` reads it."""
    return ", ".join(f"{_share(stage)} {_hold(stage)}".strip() for stage in stages)


def format_percent(percent: Fraction) -> str:
    """`5`, `0.1`, `33.3`: at most one digit after the point, as the schedule takes it."""
    return f"{float(percent):.1f}".removesuffix(".0")


def parse_percent(text: str) -> Fraction:
    """`25` or `25%` or `0.5`: a share of 0 to 100 percent. Raises `UsageError`."""
    match = re.fullmatch(r"\s*(\d{1,3}(\.\d)?)\s*%?\s*", text)
    if match is None or Fraction(match[1]) > 100:
        raise UsageError(
            f"{text!r} is not a share", "it is 0 to 100 percent, with at most one digit after the point", "25"
        )
    return Fraction(match[1])


def parse_duration(text: str) -> float:
    """`90s`, `10m`, `1.5h` in seconds. Raises `UsageError`."""
    match = re.fullmatch(r"\s*(\d+(\.\d+)?)\s*(s|m|h)\s*", text)
    seconds = float(match[1]) * _SECONDS[match[3]] if match else math.inf
    if match is None or seconds > LONGEST_HOLD_SECONDS:
        raise UsageError(f"{text!r} is not a time", "it is a number and s, m or h, at most 30 days", "10m")
    return seconds


def _parse_stage(part: str) -> Stage:
    match = _STAGE.fullmatch(part)
    if match is None:
        raise _bad(part, "each stage is a share and how long to hold it")
    percent = Fraction(match["percent"])
    if not 0 < percent <= 100:
        raise _bad(part, "a share is more than 0% and at most 100%")
    hold_seconds = float(match["hold"]) * _SECONDS[match["unit"]] if match["hold"] else 0.0
    if hold_seconds > LONGEST_HOLD_SECONDS:
        raise _bad(part, f"a stage is held at most {LONGEST_HOLD_SECONDS / _SECONDS['h'] / 24:g} days")
    return Stage(percent, hold_seconds)


def _share(stage: Stage) -> str:
    return f"{format_percent(stage.percent)}%"


def _hold(stage: Stage) -> str:
    seconds = stage.hold_seconds
    for unit in ("h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.12g}{unit}"
    return f"{seconds:.12g}s" if seconds else ""


def _bad(part: str, why: str) -> UsageError:
    return UsageError(f"canary schedule {part!r} is not valid", why, f'write it like "{EXAMPLE}"')
