"""What CloudWatch keeps: values by metric and second, and their statistics by period.

A bucket holds each value with how often it came, which is all that any statistic needs. Nothing can be seen before the metric's
period is over and the lag has passed, as on AWS.
"""

from __future__ import annotations

import math
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

KEPT_SECONDS = 3 * 3600
_RANK = re.compile(r"p(?P<rank>\d{1,2}(\.\d{1,10})?|100)")
_RANGE = re.compile(
    r"(?P<what>TM|TC|TS|PR)\((?P<low>[\d.]*)(?P<percent>%?):(?P<high>[\d.]*)(?P<percents>%?)\)", re.IGNORECASE
)


class StatisticError(ValueError):
    """No statistic of that name, or none that the sandbox has."""


@dataclass(frozen=True)
class Metric:
    """One time series: namespace, name, and exactly these dimensions."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]] = frozenset()


@dataclass
class _Kept:
    unit: str | None
    resolution: int
    buckets: dict[int, Counter[float]] = field(default_factory=dict)


class Series:
    """All series. Times are seconds since 1970. Thread-safe; `lag_seconds` may be changed at any time."""

    def __init__(self, lag_seconds: float) -> None:
        self.lag_seconds = lag_seconds
        self._lock = threading.Lock()
        self._kept: dict[Metric, _Kept] = {}

    def add(
        self, metric: Metric, at: float, values: Mapping[float, float], unit: str | None = None, resolution: int = 1
    ) -> None:
        """Adds values with how often each came. A series of `resolution` 60 has one bucket a minute, as AWS's own have."""
        with self._lock:
            kept = self._kept.setdefault(metric, _Kept(unit, resolution))
            second = int(at // kept.resolution * kept.resolution)
            kept.buckets.setdefault(second, Counter()).update(values)
            for old in [one for one in kept.buckets if one < at - KEPT_SECONDS]:
                del kept.buckets[old]

    def metrics(self) -> list[Metric]:
        with self._lock:
            return list(self._kept)

    def unit(self, metric: Metric) -> str | None:
        with self._lock:
            return self._kept[metric].unit if metric in self._kept else None

    def statistic(
        self, metric: Metric, name: str, period: int, start: float, end: float, now: float
    ) -> dict[int, float]:
        """The statistic of each period that begins before `end`, from the one that `start` lies in, and has values that can be
        seen by now. Raises `StatisticError`.
        """
        summary({0.0: 1.0}, name)  # also where there is nothing, a wrong name is refused
        found: dict[int, Counter[float]] = {}
        with self._lock:
            kept = self._kept.get(metric)
            for second, values in (kept.buckets if kept else {}).items():
                begin = second // period * period
                is_over = kept is not None and second + kept.resolution + self.lag_seconds <= now
                if is_over and start // period * period <= begin < end:
                    found.setdefault(begin, Counter()).update(values)
        return {begin: summary(values, name) for begin, values in sorted(found.items())}


def summary(values: Mapping[float, float], name: str) -> float:
    """A statistic, by CloudWatch's name for it, of values that are not none. Raises `StatisticError`."""
    simple = _SIMPLE.get(name)
    if simple:
        return simple(values)
    if rank := _RANK.fullmatch(name):
        return _percentile(values, float(rank["rank"]))
    if (found := _RANGE.fullmatch(name)) and not found["percent"] and not found["percents"]:
        low, high = (float(found[key] or default) for key, default in (("low", "-inf"), ("high", "inf")))
        return _of_range(values, found["what"].upper(), low, high)
    raise StatisticError(f"The value {name} for parameter Stat is not supported.")


def _sum(values: Mapping[float, float]) -> float:
    return math.fsum(value * count for value, count in values.items())


def _count(values: Mapping[float, float]) -> float:
    return math.fsum(values.values())


_SIMPLE: Mapping[str, Callable[[Mapping[float, float]], float]] = {
    "Sum": _sum,
    "SampleCount": _count,
    "Average": lambda values: _sum(values) / _count(values),
    "Minimum": min,
    "Maximum": max,
}


def _percentile(values: Mapping[float, float], rank: float) -> float:
    """The smallest value that at least so many percent do not exceed."""
    needed, seen, value = rank / 100 * _count(values), 0.0, min(values)
    for value in sorted(values):
        seen += values[value]
        if seen >= needed:
            return value
    return value


def _of_range(values: Mapping[float, float], what: str, low: float, high: float) -> float:
    """Of the values above `low` and not above `high`: "exclusive of the lower bound and inclusive of the upper bound"."""
    inside = {value: count for value, count in values.items() if low < value <= high}
    if what == "PR":
        return 100 * _count(inside) / _count(values)
    if what == "TC":
        return _count(inside)
    return _sum(inside) / (1 if what == "TS" else _count(inside) or 1)
