"""GetMetricData's queries, answered from the series: statistics first, then what is computed from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shipit.sandbox.cloudwatch.expressions import Timeline, evaluate, names
from shipit.sandbox.cloudwatch.series import Metric, Series

DEFAULT_PERIOD_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    """What one query found, the oldest value first."""

    id: str
    label: str
    values: Timeline


def metric_of(given: Mapping[str, Any]) -> Metric:
    """The metric that a request names: `Namespace`, `MetricName`, `Dimensions`."""
    dimensions = frozenset((one["Name"], one["Value"]) for one in given.get("Dimensions") or ())
    return Metric(given["Namespace"], given["MetricName"], dimensions)


def answer(
    series: Series, queries: Sequence[Mapping[str, Any]], start: float, end: float, now: float
) -> Sequence[Answer]:
    """The answers to those queries that are to be returned. Raises `StatisticError` and `ExpressionError`."""
    known: dict[str, Timeline] = {}
    periods = [int(query["MetricStat"]["Period"]) for query in queries if "MetricStat" in query]
    period = max(periods, default=DEFAULT_PERIOD_SECONDS)
    first = start // period * period
    # What is not over yet, or not published yet, is not filled either.
    last = min(end, now - series.lag_seconds - period + 1)
    begins = [int(first + step * period) for step in range(max(0, int(-(-(last - first) // period))))]
    for query in queries:
        if "MetricStat" in query:
            stat = query["MetricStat"]
            metric = metric_of(stat["Metric"])
            known[query["Id"]] = series.statistic(metric, stat["Stat"], int(stat["Period"]), start, end, now)
    waiting = [query for query in queries if "MetricStat" not in query]
    while waiting:
        # An expression may use another one that comes after it.
        ids = {query["Id"] for query in waiting}
        query = next((q for q in waiting if not ids & names(q["Expression"]) - {q["Id"]}), waiting[0])
        value = evaluate(query["Expression"], known, begins)
        known[query["Id"]] = value if isinstance(value, Mapping) else dict.fromkeys(begins, value)
        waiting.remove(query)
    wanted = [query for query in queries if str(query.get("ReturnData", True)).lower() != "false"]
    return [Answer(query["Id"], _label(query), known[query["Id"]]) for query in wanted]


def _label(query: Mapping[str, Any]) -> str:
    metric = query.get("MetricStat", {}).get("Metric", {}).get("MetricName")
    return str(query.get("Label") or metric or query["Id"])
