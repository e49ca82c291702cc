"""A canary for a gate to judge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

from shipit.gate import Facts, World
from shipit.program import Program
from tests.fakes.metrics import FakeMetrics

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
GREEN, BLUE = "shop-v2", "shop-v1"
TOKEN = "5ca1ab1e5ca1ab1e"


def facts(minutes: float = 0, percent: int = 5, since: datetime = NOON, token: str = TOKEN) -> Facts:
    """So many minutes after green got its share."""
    now = since + timedelta(minutes=minutes)
    return Facts("shop", "live", "v2", GREEN, BLUE, Fraction(percent), since, now, token=token)


@dataclass
class Setting:
    """A world with answers that a test has written down, one for each request."""

    metrics: FakeMetrics = field(default_factory=FakeMetrics)
    answers: list[tuple[int, bytes, float] | Exception] = field(default_factory=list)
    requests: list[tuple[str, Mapping[str, str], float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    programs: list[Program] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": "/usr/bin:/bin"})

    @property
    def world(self) -> World:
        return World(self.metrics, self._start, self._ask, self.notes.append)

    def _start(self, command: str, facts: Mapping[str, str], seconds: float, said: Callable[[str], None]) -> Program:
        self.programs.append(Program(command, {**self.environment, **facts}, Path.cwd(), seconds, said))
        return self.programs[-1]

    def _ask(self, url: str, headers: Mapping[str, str], seconds: float) -> tuple[int, bytes, float]:
        self.requests.append((url, headers, seconds))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer
