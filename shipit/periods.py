"""The periods for which CloudWatch counts: they begin at full minutes, whatever a canary does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ceiling(moment: datetime, period: timedelta) -> datetime:
    """The first period that begins then or later."""
    return moment + (EPOCH - moment) % period


def whole_periods(start: datetime, end: datetime, period: timedelta) -> tuple[datetime, datetime]:
    """The beginning of the first and the end of the last period that lies between these times; the same where there is none."""
    first = ceiling(start, period)
    return first, max(first, end - (end - EPOCH) % period)
