"""Metrics that a test writes down: periods of a minute, published a minute late."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shipit.counts import Count
from shipit.ports import Alarm, Query


@dataclass
class FakeMetrics:
    """Implements `ports.Metrics`. What is counted is by fleet and beginning of the minute."""

    period_seconds: int = 60
    lag_seconds: float = 60
    failed: dict[str, dict[datetime, Count]] = field(default_factory=dict)
    slow: dict[str, dict[datetime, Count]] = field(default_factory=dict)
    usual_seconds: float | None = 0.2
    series: dict[datetime, float] = field(default_factory=dict)
    asked: list[tuple[Sequence[Query], str | None]] = field(default_factory=list)
    limits: set[float] = field(default_factory=set)
    known: dict[str, Alarm] = field(default_factory=dict)
    refuses: Exception | None = None

    def steady(self, what: str, fleet: str, start: datetime, minutes: int, requests: float, bad: float) -> None:
        """So many requests and bad ones in each of the minutes from `start` on."""
        counted = getattr(self, what).setdefault(fleet, {})
        for number in range(minutes):
            counted[start + timedelta(minutes=number)] = Count(requests, bad)

    def answered(self, fleet: str, start: datetime, end: datetime) -> Mapping[datetime, Count]:
        return _between(self.failed.get(fleet, {}), start, end)

    def slower(self, fleet: str, seconds: float, start: datetime, end: datetime) -> Mapping[datetime, Count]:
        self.limits.add(seconds)
        return _between(self.slow.get(fleet, {}), start, end)

    def percentile(self, fleet: str, rank: float, start: datetime, end: datetime) -> float | None:
        return self.usual_seconds

    def values(
        self, queries: Sequence[Query], expression: str | None, start: datetime, end: datetime
    ) -> Mapping[datetime, float]:
        self.asked.append((queries, expression))
        return {at: value for at, value in self.series.items() if start <= at < end}

    def try_out(self, queries: Sequence[Query] = (), expression: str | None = None) -> None:
        self.asked.append((queries, expression))
        if self.refuses:
            raise self.refuses

    def places(self, green: str, blue: str) -> Mapping[str, str]:
        return {"green": f"targetgroup/{green}/1", "blue": f"targetgroup/{blue}/1", "load_balancer": "app/lb/1"}

    def alarms(self, names: Sequence[str]) -> Mapping[str, Alarm]:
        return {name: self.known[name] for name in names if name in self.known}

    def alarm_names(self) -> Sequence[str]:
        return list(self.known)


def _between(counted: Mapping[datetime, Count], start: datetime, end: datetime) -> dict[datetime, Count]:
    return {at: count for at, count in counted.items() if start <= at < end}
