"""Is a metric of CloudWatch, or what is computed from several, on the right side of a number?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from shipit.gate import Facts, Gate, Opinion, World
from shipit.model import Mood
from shipit.periods import whole_periods
from shipit.ports import Metrics, Query
from shipit.section import METRIC_ID, Number, Section, Undecided, Whole

SEVERAL = True
MetricId = Annotated[str, StringConstraints(pattern=METRIC_ID)]


class Metric(Section):
    """One metric: `{green}` and `{blue}` in a dimension stand for the target groups, `{load_balancer}` for the balancer."""

    namespace: str = Field(description="Namespace.", min_length=1, examples=["AWS/ApplicationELB"])
    name: str = Field(description="Name of the metric.", min_length=1, examples=["TargetResponseTime"])
    dimensions: dict[str, str] = Field(default_factory=dict, description="Exactly those that it is published with.")
    stat: str = Field("Average", description="Statistic.", min_length=1, examples=["p99"])


class Settings(Section):
    """A metric of CloudWatch against a number."""

    metrics: dict[MetricId, Metric] = Field(
        description="Metrics by id: a small letter, then letters, digits and underscores.", min_length=1, max_length=20
    )
    expression: str | None = Field(
        None, description="Metric math over these ids; the only metric itself when left out.", examples=["100*bad/all"]
    )
    above: Number | None = Field(None, description="Bad above this.")
    below: Number | None = Field(None, description="Bad below this.")
    periods: Whole = Field(1, description="So many in a row.", ge=1, le=60)
    undecided: Undecided = Field("extend", description="What to do when the hold is over and nothing is known.")

    @model_validator(mode="after")
    def _something_to_compare(self) -> Settings:
        if self.above is None and self.below is None:
            raise ValueError("give `above`, `below`, or both")
        if self.expression is None and len(self.metrics) > 1:
            raise ValueError("several metrics need an `expression`")
        return self


class Threshold:
    every_seconds = 5.0

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics

    @property
    def knows_after_seconds(self) -> float:
        return (self._settings.periods + 1) * self._metrics.period_seconds + self._metrics.lag_seconds

    def check(self) -> None:
        """Raises what CloudWatch says of the query: a statistic or an expression that it does not know. A metric that does not exist has
        no data, which is never a yes.
        """
        self._metrics.try_out(self._queries({}), self._settings.expression)

    def judge(self, facts: Facts) -> Opinion:
        """Of the last periods of the stage that are complete: all on the wrong side is bad, one on the right side is good."""
        period = timedelta(seconds=self._metrics.period_seconds)
        start, end = whole_periods(facts.since, facts.now - timedelta(seconds=self._metrics.lag_seconds), period)
        if end - start < self._settings.periods * period:
            return Opinion(Mood.NOT_YET, "nothing was published yet")
        queries = self._queries(self._metrics.places(facts.green, facts.blue))
        values = self._metrics.values(queries, self._settings.expression, start, end)
        newest = [values.get(end - number * period) for number in range(self._settings.periods, 0, -1)]
        there = [value for value in newest if value is not None]
        text = ", ".join("nothing" if value is None else f"{value:g}" for value in newest)
        if any(not self._is_bad(value) for value in there):
            return Opinion(Mood.GOOD, f"{text}: not {self._limits()}")
        if len(there) < len(newest):
            return Opinion(Mood.NOT_YET, f"{text}: no data" if not there else f"{text}: not enough of it")
        return Opinion(Mood.BAD, f"{text}: {self._limits()}")

    def _queries(self, places: Mapping[str, str]) -> list[Query]:
        return [
            Query(id_, one.namespace, one.name, _filled_in(one.dimensions, places), one.stat)
            for id_, one in self._settings.metrics.items()
        ]

    def _is_bad(self, value: float) -> bool:
        above, below = self._settings.above, self._settings.below
        return (above is not None and value > above) or (below is not None and value < below)

    def _limits(self) -> str:
        parts = [("above", self._settings.above), ("below", self._settings.below)]
        return " or ".join(f"{word} {limit:g}" for word, limit in parts if limit is not None)


def _filled_in(dimensions: Mapping[str, str], places: Mapping[str, str]) -> dict[str, str]:
    """`{green}` and the like replaced; other braces stay as they are."""
    found = dict(dimensions)
    for place, value in places.items():
        found = {key: text.replace(f"{{{place}}}", value) for key, text in found.items()}
    return found


def gate(settings: Settings, world: World) -> Gate:
    return Threshold(settings, world.metrics)
