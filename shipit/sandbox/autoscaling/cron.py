"""Recurrence of scheduled actions: the five fields of cron, as Auto Scaling takes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES = {
    **{name: number for number, name in enumerate(_MONTHS, start=1)},
    **{name: number for number, name in enumerate(_DAYS)},
}
_HORIZON = timedelta(days=366 * 5)


@dataclass(frozen=True)
class Cron:
    """Values that match, by field.

    `any_day` and `any_weekday` say that the field was `*`: two restricted day fields are alternatives, as in Unix cron.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    any_day: bool
    any_weekday: bool

    def next_after(self, moment: datetime, zone: str | None) -> datetime | None:
        """The first matching minute after `moment` in the time zone, as UTC; None if there is none in five years."""
        local = moment.astimezone(ZoneInfo(zone or "UTC")).replace(second=0, microsecond=0, tzinfo=None)
        found = self._search(local + timedelta(minutes=1), local + _HORIZON)
        return found.replace(tzinfo=ZoneInfo(zone or "UTC")).astimezone(UTC) if found else None

    def _search(self, at: datetime, end: datetime) -> datetime | None:
        while at < end:
            if at.month not in self.months or not self._on(at):
                at = at.replace(hour=0, minute=0) + timedelta(days=1)
            elif at.hour not in self.hours:
                at = at.replace(minute=0) + timedelta(hours=1)
            elif at.minute not in self.minutes:
                at += timedelta(minutes=1)
            else:
                return at
        return None

    def _on(self, at: datetime) -> bool:
        day, weekday = at.day in self.days, at.isoweekday() % 7 in self.weekdays
        return (day and weekday) if self.any_day or self.any_weekday else (day or weekday)


def parse_cron(text: str) -> Cron:
    """Raises ValueError when it is not `minute hour day month weekday`."""
    fields = text.lower().split()
    if len(fields) != len(_BOUNDS):
        raise ValueError(f"{text!r} has {len(fields)} fields, not 5")
    minutes, hours, days, months, weekdays = (_values(f, *bounds) for f, bounds in zip(fields, _BOUNDS, strict=True))
    return Cron(
        minutes, hours, days, months, frozenset(day % 7 for day in weekdays), fields[2][0] in "*?", fields[4][0] in "*?"
    )


def _values(field: str, low: int, high: int) -> frozenset[int]:
    return frozenset(value for part in field.split(",") for value in _part(part, low, high))


def _part(part: str, low: int, high: int) -> range:
    span, _, step = part.partition("/")
    first, _, last = span.partition("-")
    if first in ("*", "?"):
        start, end = low, high
    else:
        start = _number(first)
        end = _number(last) if last else (high if step else start)
    if not low <= start <= end <= high:
        raise ValueError(f"{part!r} is not within {low}-{high}")
    return range(start, end + 1, int(step or 1))


def _number(text: str) -> int:
    return _NAMES[text] if text in _NAMES else int(text)
