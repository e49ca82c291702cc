"""What a load run saw: counted while it runs, frozen when it is over."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from shipit.sandbox.exchange import Answered, Outcome

_SHOWN_FAILURES = 20
LATE_SECONDS = 0.05


@dataclass(frozen=True)
class Failure:
    """One failed request: seconds since the start when it was due, kind, and what was seen."""

    at_seconds: float
    kind: str
    detail: str


@dataclass(frozen=True)
class Second:
    """What was due in one second of the run: answers by version, and failures."""

    second: int
    versions: Mapping[str, int]
    failed: int


@dataclass(frozen=True)
class LoadReport:
    """`failures` counts by kind (`connect`, `reset`, `timeout`, `malformed`, `5xx`); latencies count from when a
    request was due, so that a stall shows in all requests that it held up. `late` requests left more than 50 ms after
    they were due.
    """

    url: str
    seconds: float
    sent: int
    failed: int
    late: int
    failures: Mapping[str, int]
    versions: Mapping[str, int]
    statuses: Mapping[str, int]
    latency_ms: Mapping[str, float]
    first_failures: tuple[Failure, ...]
    timeline: tuple[Second, ...]

    @property
    def answered(self) -> int:
        return sum(self.versions.values())


@dataclass
class Tally:
    """The counters of a run. `start` is the loop's time at the first request."""

    start: float
    sent: int = 0
    late: int = 0
    latencies: array[float] = field(default_factory=lambda: array("d"))
    failures: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    by_second: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    failed_by_second: Counter[int] = field(default_factory=Counter)
    first_failures: list[Failure] = field(default_factory=list)

    def leave(self, due: float, now: float) -> None:
        self.sent += 1
        if now - due > LATE_SECONDS:
            self.late += 1

    def end(self, due: float, now: float, outcome: Outcome) -> None:
        second = int(due - self.start)
        if not isinstance(outcome, Answered):
            self._fail(due, second, outcome.kind, outcome.detail)
            return
        self.latencies.append((now - due) * 1000)
        self.statuses[str(outcome.status)] += 1
        self.versions[outcome.version] += 1
        self.by_second[second][outcome.version] += 1
        if outcome.status >= 500:
            self._fail(due, second, "5xx", f"HTTP {outcome.status}")

    def _fail(self, due: float, second: int, kind: str, detail: str) -> None:
        self.failures[kind] += 1
        self.failed_by_second[second] += 1
        if len(self.first_failures) < _SHOWN_FAILURES:
            self.first_failures.append(Failure(round(due - self.start, 3), kind, detail))

    def second(self, number: int) -> Second:
        return Second(number, dict(self.by_second.get(number, {})), self.failed_by_second[number])

    def report(self, url: str, now: float) -> LoadReport:
        last = max([*self.by_second, *self.failed_by_second], default=-1)
        return LoadReport(
            url=url,
            seconds=round(now - self.start, 3),
            sent=self.sent,
            failed=sum(self.failures.values()),
            late=self.late,
            failures=dict(self.failures),
            versions=dict(self.versions),
            statuses=dict(self.statuses),
            latency_ms=_percentiles(sorted(self.latencies)),
            first_failures=tuple(self.first_failures),
            timeline=tuple(self.second(number) for number in range(last + 1)),
        )


def _percentiles(ordered: list[float]) -> dict[str, float]:
    if not ordered:
        return {}
    places = {"p50": 0.50, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(ordered[min(len(ordered) - 1, int(place * len(ordered)))], 2) for name, place in places.items()}
