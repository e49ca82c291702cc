"""Alarms, evaluated: metric alarms against the series, composite ones against other alarms."""

from __future__ import annotations

import logging
import operator
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shipit.sandbox.cloudwatch.expressions import ExpressionError, Timeline
from shipit.sandbox.cloudwatch.queries import answer
from shipit.sandbox.cloudwatch.rules import RuleError, holds
from shipit.sandbox.cloudwatch.series import Series, StatisticError

log = logging.getLogger(__name__)

OK, ALARM, UNKNOWN = "OK", "ALARM", "INSUFFICIENT_DATA"
EVERY_SECONDS = 0.5
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


@dataclass(frozen=True)
class Condition:
    """What a metric alarm waits for: `needed` of the last `periods` values, compared with the threshold."""

    comparison: str
    threshold: float
    periods: int
    needed: int
    missing: str = "missing"


def judge(values: Sequence[float | None], condition: Condition, before: str) -> str:
    """The state that the values of the last periods make, None where there is none; `before` is the state until now."""
    breaches = _COMPARISONS[condition.comparison]
    known = [breaches(value, condition.threshold) for value in values if value is not None]
    missing = len(values) - len(known)
    if condition.missing == "breaching":
        known += [True] * missing
    if condition.missing == "notBreaching":
        known += [False] * missing
    if sum(known) >= condition.needed:
        return ALARM
    if not known:
        return before if condition.missing == "ignore" else UNKNOWN
    return before if condition.missing == "ignore" and missing else OK


class Alarms:
    """Looks at all alarms twice a second, in a thread of its own, until it is closed. `all_alarms` are moto's own objects, and
    `lock` is held over every call that may change them.
    """

    def __init__(self, series: Series, all_alarms: Callable[[], Iterable[Any]]) -> None:
        self.lock = threading.RLock()
        self._series, self._all = series, all_alarms
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="alarms")

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def look(self, now: float) -> None:
        """One look at every alarm: metric alarms first, since composite ones follow from them."""
        with self.lock:
            known = sorted(self._all(), key=lambda alarm: alarm.rule is not None)
            for alarm in known:
                try:
                    state = self._state_of_rule(alarm, known) if alarm.rule else self._state_of_metric(alarm, now)
                except (RuleError, ExpressionError, StatisticError) as error:
                    log.warning("alarm %s cannot be evaluated: %s", alarm.name, error)
                    continue
                if state != alarm.state_value:
                    enter(alarm, state, "evaluated")

    def _run(self) -> None:
        while not self._closed.wait(EVERY_SECONDS):
            self.look(time.time())

    def _state_of_rule(self, alarm: Any, known: Sequence[Any]) -> str:
        states = {one.name: one.state_value for one in known}
        return ALARM if holds(alarm.rule, lambda name: states.get(name, UNKNOWN)) else OK

    def _state_of_metric(self, alarm: Any, now: float) -> str:
        queries, period = queries_of(alarm)
        count = int(alarm.evaluation_periods)
        # The newest period that can have been published.
        last = int((now - self._series.lag_seconds - period) // period * period)
        begins = range(last - (count - 1) * period, last + 1, period)
        found: Timeline = next((a.values for a in answer(self._series, queries, begins[0], last + 1, now)), {})
        needed = int(alarm.datapoints_to_alarm or count)
        condition = Condition(
            alarm.comparison_operator, float(alarm.threshold), count, needed, alarm.treat_missing_data or "missing"
        )
        return judge([found.get(begin) for begin in begins], condition, alarm.state_value)


def enter(alarm: Any, state: str, reason: str) -> None:
    """Puts the alarm into a state, with the time of it."""
    alarm.update_state(reason, "{}", state)
    alarm.state_transitioned_timestamp = datetime.now(UTC).replace(tzinfo=None)


def queries_of(alarm: Any) -> tuple[list[dict[str, Any]], int]:
    """A metric alarm's metric as queries, the one that is compared first in the answers; and its period."""
    if alarm.metric_data_queries:
        queries = [_query(one) for one in alarm.metric_data_queries]
        periods = [int(q["MetricStat"]["Period"]) for q in queries if "MetricStat" in q]
        return queries, max(periods, default=60)
    metric = {
        "Namespace": alarm.namespace,
        "MetricName": alarm.metric_name,
        "Dimensions": [{"Name": one.name, "Value": one.value} for one in alarm.dimensions],
    }
    statistic = alarm.statistic or alarm.extended_statistic
    return [{"Id": "m", "MetricStat": {"Metric": metric, "Period": alarm.period, "Stat": statistic}}], int(alarm.period)


def _query(given: Any) -> dict[str, Any]:
    returned = {"Id": given.id, "ReturnData": given.return_data if given.return_data is not None else True}
    if given.metric_stat is None:
        return {**returned, "Expression": given.expression}
    stat, metric = given.metric_stat, given.metric_stat.metric
    named = {
        "Namespace": metric.namespace,
        "MetricName": metric.metric_name,
        "Dimensions": [{"Name": one.name, "Value": one.value} for one in metric.dimensions],
    }
    return {**returned, "MetricStat": {"Metric": named, "Period": stat.period, "Stat": stat.stat}}
