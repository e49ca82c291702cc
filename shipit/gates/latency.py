"""Is green slower than blue? Counted are the answers that took longer than a limit: what blue's slowest ones took before."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import Field

from shipit.counts import Count
from shipit.gate import Facts, Gate, Opinion, World
from shipit.model import Mood
from shipit.ports import Metrics
from shipit.release.analysis import Rules
from shipit.release.compared import Compared
from shipit.section import Number, Section, Undecided, Whole

# How long before the canary blue is asked for its usual response time.
LOOK_BACK_MINUTES = 30


class Settings(Section):
    """Green answers slower than blue: more of its answers take longer than a limit."""

    slower_than_ms: Number | None = Field(
        None, description="The limit; what `percentile` of blue took in the half hour before, when left out.", gt=0
    )
    percentile: Number = Field(95, description="Which of blue's answers make the limit.", ge=50, le=99.9)
    tolerance: Number = Field(
        2, description="Percentage points more of green's answers that may be slow.", gt=0, lt=100
    )
    least_requests: Whole = Field(100, description="Requests that green must have had before it is called safe.", ge=1)
    warm_up_seconds: Number = Field(60, description="Time after a shift that does not count.", ge=0, le=3600)
    undecided: Undecided = Field("extend", description="What to do when the hold is over and nothing is known.")


class Slower:
    """Finds the limit when it is asked first, and then compares."""

    every_seconds = Compared.every_seconds
    ends_holds = Compared.ends_holds

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._limit = settings.slower_than_ms / 1000 if settings.slower_than_ms else None
        rules = Rules(settings.tolerance / 100, least_requests=settings.least_requests)
        self._compared = Compared(rules, self._slow, metrics, settings.warm_up_seconds, "were slow")

    @property
    def knows_after_seconds(self) -> float:
        return self._compared.knows_after_seconds

    def check(self) -> None:
        self._compared.check()

    def judge(self, facts: Facts) -> Opinion:
        if self._limit is None:
            before = facts.since - timedelta(minutes=LOOK_BACK_MINUTES)
            self._limit = self._metrics.percentile(facts.blue, self._settings.percentile, before, facts.since)
        if self._limit is None:
            return Opinion(Mood.NOT_YET, "how long the old version takes is not known: set slower_than_ms")
        opinion = self._compared.judge(facts)
        return Opinion(opinion.mood, f"slower than {1000 * self._limit:.0f} ms: {opinion.reason}", opinion.settled)

    def _slow(self, fleet: str, start: datetime, end: datetime) -> Mapping[datetime, Count]:
        assert self._limit is not None
        return self._metrics.slower(fleet, self._limit, start, end)


def gate(settings: Settings, world: World) -> Gate:
    return Slower(settings, world.metrics)
