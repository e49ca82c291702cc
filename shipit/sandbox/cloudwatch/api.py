"""CloudWatch on the wire: moto's, but for what it keeps of metrics and how it judges alarms.

Where moto differs from AWS: no percentiles and hardly any metric math in GetMetricData, no evaluation of alarms, no composite
ones, and a new alarm is `OK` instead of `INSUFFICIENT_DATA`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch import urls
from moto.cloudwatch.exceptions import InvalidParameterCombination, InvalidParameterValue, ValidationError
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult, EmptyResult

from shipit.sandbox.cloudwatch.alarms import UNKNOWN, enter
from shipit.sandbox.cloudwatch.expressions import ExpressionError
from shipit.sandbox.cloudwatch.queries import Answer, answer, metric_of
from shipit.sandbox.cloudwatch.rules import RuleError
from shipit.sandbox.cloudwatch.rules import alarms as alarms_of
from shipit.sandbox.cloudwatch.series import Metric, Series, StatisticError, summary

MOST_QUERIES = 500
METRIC_ALARM, COMPOSITE_ALARM = "MetricAlarm", "CompositeAlarm"


class Responses(CloudWatchResponse):  # type: ignore[misc]
    """The actions that the sandbox answers itself; the others are moto's. `series` is set when it is installed."""

    series: Series

    def put_metric_data(self) -> ActionResult:
        namespace = self._get_param("Namespace")
        for datum in self._get_param("MetricData", []):
            at, values = _timestamp(datum.get("Timestamp")), _values(datum)
            resolution = int(datum.get("StorageResolution") or 60)
            self.series.add(metric_of({"Namespace": namespace, **datum}), at, values, datum.get("Unit"), resolution)
        return EmptyResult()

    def get_metric_data(self) -> ActionResult:
        params = self._get_params()
        start, end = _timestamp(params["StartTime"]), _timestamp(params["EndTime"])
        queries = params.get("MetricDataQueries", [])
        if start >= end:
            raise ValidationError("The parameter EndTime must be greater than StartTime.")
        if len(queries) > MOST_QUERIES:
            raise ValidationError(f"The collection MetricDataQueries must not have more than {MOST_QUERIES} elements.")
        try:
            found = answer(self.series, queries, start, end, time.time())
        except (StatisticError, ExpressionError, KeyError) as error:
            raise ValidationError(str(error)) from error
        newest_first = (params.get("ScanBy") or "TimestampDescending") == "TimestampDescending"
        return ActionResult({"MetricDataResults": [_result(one, newest_first) for one in found]})

    def get_metric_statistics(self) -> ActionResult:
        params = self._get_params()
        simple, extended = params.get("Statistics") or [], params.get("ExtendedStatistics") or []
        if not simple and not extended:
            raise InvalidParameterCombination("Must specify either Statistics or ExtendedStatistics")
        start, end = _timestamp(params["StartTime"]), _timestamp(params["EndTime"])
        metric, points = metric_of(params), dict[int, dict[str, Any]]()
        for name in (*simple, *extended):
            for begin, value in self._statistic(metric, name, int(params["Period"]), start, end).items():
                point = points.setdefault(
                    begin, {"Timestamp": _moment(begin), "Unit": self.series.unit(metric) or "None"}
                )
                (point if name in simple else point.setdefault("ExtendedStatistics", {}))[name] = value
        return ActionResult({"Label": metric.name, "Datapoints": list(points.values())})

    def list_metrics(self) -> ActionResult:
        params = self._get_params()
        wanted = [(one["Name"], one.get("Value")) for one in params.get("Dimensions") or []]
        found = [
            metric
            for metric in self.series.metrics()
            if metric.namespace == (params.get("Namespace") or metric.namespace)
            and metric.name == (params.get("MetricName") or metric.name)
            and all(_has(metric, name, value) for name, value in wanted)
        ]
        return ActionResult({"Metrics": [_described(metric) for metric in found]})

    def put_metric_alarm(self) -> ActionResult:
        """An alarm that is new has no state yet; one that is changed keeps its state."""
        name = self._get_param("AlarmName")
        before = self.cloudwatch_backend.alarms.get(name)
        if not self._get_param("AlarmRule"):
            self._refuse_statistic()
        answered = super().put_metric_alarm()
        alarm = self.cloudwatch_backend.alarms[name]
        if before is None:
            alarm.state_value, alarm.state_reason = UNKNOWN, "Unchecked: Initial alarm creation"
        else:
            alarm.state_value, alarm.state_reason = before.state_value, before.state_reason
        alarm.state_transitioned_timestamp = getattr(
            before, "state_transitioned_timestamp", datetime.now(UTC).replace(tzinfo=None)
        )
        return answered

    def put_composite_alarm(self) -> ActionResult:
        rule, known = self._get_param("AlarmRule"), self.cloudwatch_backend.alarms
        try:
            missing = sorted(alarms_of(rule) - set(known))
        except RuleError as error:
            raise ValidationError(str(error)) from error
        if missing:
            raise ValidationError(f"Could not save the composite alarm as alarms [{', '.join(missing)}] do not exist")
        return self.put_metric_alarm()

    def describe_alarms(self) -> ActionResult:
        """Metric alarms alone unless `AlarmTypes` says otherwise; names that do not exist are absent (field notes F)."""
        kinds = self._get_param("AlarmTypes") or [METRIC_ALARM]
        found: Mapping[str, Any] = super().describe_alarms().result
        metric = found["MetricAlarms"] if METRIC_ALARM in kinds else []
        composite = found["CompositeAlarms"] if COMPOSITE_ALARM in kinds else []
        return ActionResult({"MetricAlarms": list(metric), "CompositeAlarms": list(composite)})

    def set_alarm_state(self) -> ActionResult:
        answered = super().set_alarm_state()
        alarm = self.cloudwatch_backend.alarms[self._get_param("AlarmName")]
        enter(alarm, self._get_param("StateValue"), self._get_param("StateReason"))
        return answered

    def _refuse_statistic(self) -> None:
        statistic = self._get_param("Statistic") or self._get_param("ExtendedStatistic")
        if statistic:
            try:
                summary({1.0: 1.0}, statistic)
            except StatisticError as error:
                raise InvalidParameterValue(str(error)) from error

    def _statistic(self, metric: Metric, name: str, period: int, start: float, end: float) -> Mapping[int, float]:
        try:
            return self.series.statistic(metric, name, period, start, end, time.time())
        except StatisticError as error:
            raise InvalidParameterValue(str(error)) from error


def install(series: Series) -> None:
    """Lets moto answer CloudWatch's API from these; the last ones installed answer. Call it before serving."""
    Responses.series = series
    urls.url_paths["{0}/$"] = Responses.dispatch


def _result(one: Answer, newest_first: bool) -> dict[str, Any]:
    begins = sorted(one.values, reverse=newest_first)
    values = [one.values[begin] for begin in begins]
    return {
        "Id": one.id,
        "Label": one.label,
        "Timestamps": [_moment(begin) for begin in begins],
        "Values": values,
        "StatusCode": "Complete",
    }


def _values(datum: Mapping[str, Any]) -> dict[float, float]:
    """A datum as values and how often each came; a statistic set as the two ends and as many means between them."""
    if datum.get("Values"):
        values, counts = datum["Values"], datum.get("Counts") or [1] * len(datum["Values"])
        found: dict[float, float] = {}
        for value, count in zip(values, counts, strict=True):
            found[float(value)] = found.get(float(value), 0.0) + float(count)
    elif datum.get("StatisticValues"):
        stats = {key: float(value) for key, value in datum["StatisticValues"].items()}
        found = {stats["Sum"] / stats["SampleCount"]: stats["SampleCount"]} if stats["SampleCount"] else {}
    else:
        found = {float(datum["Value"]): 1.0}
    if any(math.isnan(value) or math.isinf(value) for value in found):
        raise InvalidParameterValue("The value NaN for parameter MetricData is invalid.")
    return found


def _timestamp(given: Any) -> float:
    if given is None:
        return time.time()
    if isinstance(given, int | float):
        return float(given)
    if isinstance(given, str):
        given = datetime.fromisoformat(given.replace("Z", "+00:00"))
    moment: datetime = given if given.tzinfo else given.replace(tzinfo=UTC)
    return moment.timestamp()


def _moment(second: float) -> datetime:
    return datetime.fromtimestamp(second, UTC).replace(tzinfo=None)


def _has(metric: Metric, name: str, value: str | None) -> bool:
    return any(known == name and value in (None, found) for known, found in metric.dimensions)


def _described(metric: Metric) -> dict[str, Any]:
    dimensions: Sequence[tuple[str, str]] = sorted(metric.dimensions)
    named = [{"Name": name, "Value": value} for name, value in dimensions]
    return {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": named}
