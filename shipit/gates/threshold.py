"""Is a metric of CloudWatch, or what is computed from several, on the right side of a number?"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator

from shipit.gate import Facts, Gate, Opinion, World
from shipit.model import Mood
from shipit.ports import Metrics, Query
from shipit.section import Number, Section, Undecided, Whole

SEVERAL = True


class Metric(Section):
    """One metric: `{green}` and `{blue}` in a dimension stand for the target groups, `{load_balancer}` for the balancer."""

    namespace: str = Field(description="Namespace.", min_length=1, examples=["AWS/ApplicationELB"])
    name: str = Field(description="Name of the metric.", min_length=1, examples=["TargetResponseTime"])
    dimensions: dict[str, str] = Field(default_factory=dict, description="Exactly those that it is published with.")
    stat: str = Field("Average", description="Statistic.", min_length=1, examples=["p99"])


class Settings(Section):
    """A metric of CloudWatch against a number."""

    metrics: dict[str, Metric] = Field(description="Metrics by id, a letter first.", min_length=1, max_length=20)
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

    def check(self) -> None:
        """There is nothing to refuse: a metric that does not exist has no data, which is never a yes."""

    def judge(self, facts: Facts) -> Opinion:
        places = self._metrics.places(facts.green, facts.blue)
        queries = [
            Query(id_, one.namespace, one.name, _filled_in(one.dimensions, places), one.stat)
            for id_, one in self._settings.metrics.items()
        ]
        values = self._metrics.values(queries, self._settings.expression, facts.since, facts.now)
        newest = [values[at] for at in sorted(values)][-self._settings.periods :]
        if not newest:
            return Opinion(Mood.NOT_YET, "no data yet")
        text = ", ".join(f"{value:g}" for value in newest)
        if len(newest) == self._settings.periods and all(map(self._is_bad, newest)):
            return Opinion(Mood.BAD, f"{text}: {self._limits()}")
        return Opinion(Mood.GOOD, f"{text}: not {self._limits()}")

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
