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
# A ramp is as many equal steps, or fewer where a tenth of a percent is too much for that.
RAMP_STEPS = 10
_SHARE = r"[0-9]{1,3}(?:\.[0-9])?"
_TIME = r"[0-9]+(?:\.[0-9]+)?\s*[smh]"
_GATE = r"[a-z][a-z0-9_-]*"
_STAGE = re.compile(
    rf"(?P<percent>{_SHARE})\s*%(?:\s+(?P<hold>{_TIME}))?(?:\s+by\s+(?P<gates>{_GATE}(?:\+{_GATE})*))?(?P<manual>\s+manual)?"
)
_RAMP = re.compile(rf"ramp\s+(?P<start>{_SHARE})\s*%\s+to\s+(?P<end>{_SHARE})\s*%\s+over\s+(?P<time>{_TIME})")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_schedule(text: str) -> tuple[Stage, ...]:
    """Stages of a schedule: shares of 0.1 to 100 percent, growing, each with an optional hold; the last is 100 %.

    `5% 10m manual` waits for a person once the hold is over, `5% 10m by errors+smoke` is judged by those gates alone, `ramp 5% to
    50% over 10m` is several stages. A hold at 100 % watches the new fleet while the old one is still whole and one write away.

    Raises `UsageError` with the offending part.
    """
    stages: list[Stage] = []
    led_to: Fraction | None = None
    for part in (one.strip() for one in text.split(",")):
        is_ramp = part.startswith("ramp")
        added = _parse_ramp(part) if is_ramp else (_parse_stage(part),)
        if added[0].percent == led_to:
            stages.pop()
        stages += added
        led_to = added[-1].percent if is_ramp else None
    for before, after in pairwise(stages):
        if after.percent <= before.percent:
            raise _bad(text, f"shares must grow, but {_share(after)} follows {_share(before)}")
    if stages[-1].percent != 100:
        raise _bad(text, f"the last stage must be 100%, not {_share(stages[-1])}")
    return tuple(stages)


def format_schedule(stages: tuple[Stage, ...]) -> str:
    """The schedule as `parse_schedule` reads it."""
    return ", ".join(" ".join(filter(None, _words(stage))) for stage in stages)


def format_percent(percent: Fraction) -> str:
    """`5`, `0.1`, `33.3`: at most one digit after the point, as the schedule takes it."""
    return f"{float(percent):.1f}".removesuffix(".0")


def parse_percent(text: str) -> Fraction:
    """`25` or `25%` or `0.5`: a share of 0 to 100 percent. Raises `UsageError`."""
    match = re.fullmatch(r"\s*([0-9]{1,3}(\.[0-9])?)\s*%?\s*", text)
    if match is None or Fraction(match[1]) > 100:
        raise UsageError(
            f"{text!r} is not a share", "it is 0 to 100 percent, with at most one digit after the point", "25"
        )
    return Fraction(match[1])


def parse_duration(text: str) -> float:
    """`90s`, `10m`, `1.5h` in seconds. Raises `UsageError`."""
    match = re.fullmatch(r"\s*([0-9]+(\.[0-9]+)?)\s*(s|m|h)\s*", text)
    seconds = float(match[1]) * _SECONDS[match[3]] if match else math.inf
    if match is None or seconds > LONGEST_HOLD_SECONDS:
        raise UsageError(f"{text!r} is not a time", "it is a number and s, m or h, at most 30 days", "10m")
    return seconds


def _parse_stage(part: str) -> Stage:
    match = _STAGE.fullmatch(part)
    if match is None:
        raise _bad(
            part, "a stage is a share, then how long to hold it, by which gates, manual: 5% 10m by errors+smoke manual"
        )
    seconds = _seconds(match["hold"], part) if match["hold"] else 0.0
    gates = tuple(match["gates"].split("+")) if match["gates"] else ()
    return Stage(_percent(match["percent"], part), seconds, bool(match["manual"]), gates)


def _parse_ramp(part: str) -> tuple[Stage, ...]:
    """Equal steps, held equally long; the share that it leads to is not held, so that the next stage may be the same share."""
    match = _RAMP.fullmatch(part)
    if match is None:
        raise _bad(part, "a ramp leads from a share to a larger one: ramp 5% to 50% over 10m")
    start, end = (_percent(match[key], part) for key in ("start", "end"))
    if end <= start:
        raise _bad(part, f"shares must grow, but {format_percent(end)}% follows {format_percent(start)}%")
    steps = min(RAMP_STEPS, int((end - start) * 10))
    shares = [Fraction(round((start + (end - start) * step / steps) * 10), 10) for step in range(steps + 1)]
    held = round(_seconds(match["time"], part) / steps, 3)
    return (*(Stage(share, held) for share in shares[:-1]), Stage(shares[-1]))


def _percent(text: str, part: str) -> Fraction:
    if not 0 < Fraction(text) <= 100:
        raise _bad(part, "a share is more than 0% and at most 100%")
    return Fraction(text)


def _seconds(text: str, part: str) -> float:
    seconds = float(text[:-1]) * _SECONDS[text[-1]]
    if seconds > LONGEST_HOLD_SECONDS:
        raise _bad(part, f"a stage is held at most {LONGEST_HOLD_SECONDS / _SECONDS['h'] / 24:g} days")
    return seconds


def _words(stage: Stage) -> tuple[str, ...]:
    gates = f"by {'+'.join(stage.gates)}" if stage.gates else ""
    return _share(stage), _hold(stage), gates, "manual" if stage.manual else ""


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
