"""CloudWatch: what the load balancer counted by target group, any other metric, and alarms.

What is missing is zero only where there were requests (field notes A10); a series that is not `Complete` is not used (field
notes F). Dimensions are the tails of ARNs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from shipit.aws.errors import translated
from shipit.aws.groups import TargetGroups
from shipit.aws.session import Session
from shipit.counts import Count
from shipit.errors import CloudError
from shipit.ports import Alarm, Query

NAMESPACE = "AWS/ApplicationELB"
# DescribeAlarms takes at most 100 names.
NAMES_PER_CALL = 100
_KINDS = ["MetricAlarm", "CompositeAlarm"]


class AwsMetrics:
    """`ports.Metrics` of one listener's load balancer."""

    def __init__(
        self, session: Session, groups: TargetGroups, listener_arn: str, period_seconds: int, lag_seconds: float
    ) -> None:
        self.period_seconds = period_seconds
        self.lag_seconds = lag_seconds
        self._session, self._groups = session, groups
        self._balancer = listener_arn.rpartition(":listener/")[2].rpartition("/")[0]

    def answered(self, fleet: str, start: datetime, end: datetime) -> Mapping[datetime, Count]:
        """A target that hangs, resets or answers garbage has sent no status: the 504 or 502 that the balancer sends instead is counted
        for the balancer alone (field notes A10). So it is told how many answers there are too few.
        """
        metrics = {"all": "RequestCount", "refused": "TargetConnectionErrorCount"}
        metrics |= {f"c{kind}": f"HTTPCode_Target_{kind}XX_Count" for kind in (2, 3, 4, 5)}
        found = self._read([self._of(fleet, id_, metric, "Sum") for id_, metric in metrics.items()], start, end)
        return {
            at: _count(count, {id_: found[id_].get(at, 0.0) for id_ in metrics}) for at, count in found["all"].items()
        }

    def slower(self, fleet: str, seconds: float, start: datetime, end: datetime) -> Mapping[datetime, Count]:
        """By trimmed counts, which CloudWatch has for whatever it has percentiles of; they may be fractions."""
        stats = {"a": "SampleCount", "b": f"TC({seconds:.6f}:)"}
        queries = [self._of(fleet, id_, "TargetResponseTime", stat) for id_, stat in stats.items()]
        found = self._read(queries, start, end)
        return {at: Count(count, min(count, found["b"].get(at, 0.0))) for at, count in found["a"].items()}

    def percentile(self, fleet: str, rank: float, start: datetime, end: datetime) -> float | None:
        """The median over the periods: one bad minute does not make the limit."""
        values = sorted(
            self._read([self._of(fleet, "a", "TargetResponseTime", f"p{rank:g}")], start, end)["a"].values()
        )
        return values[len(values) // 2] if values else None

    def values(
        self, queries: Sequence[Query], expression: str | None, start: datetime, end: datetime
    ) -> Mapping[datetime, float]:
        if expression is None:
            return self._read(queries, start, end)[queries[0].id]
        return self._read(queries, start, end, expression)[_result_id(queries)]

    def try_out(self, queries: Sequence[Query] = (), expression: str | None = None) -> None:
        now = datetime.now(UTC)
        own = [Query("a", NAMESPACE, "RequestCount", {"LoadBalancer": self._balancer}, "Sum")]
        self._read(queries or own, now - timedelta(seconds=self.period_seconds), now, expression)

    def places(self, green: str, blue: str) -> Mapping[str, str]:
        return {"green": self._group(green), "blue": self._group(blue), "load_balancer": self._balancer}

    def alarms(self, names: Sequence[str]) -> Mapping[str, Alarm]:
        """Both kinds are asked for: by default composite ones are left out, and a name that is not known is just absent."""
        found: dict[str, Alarm] = {}
        for first in range(0, len(names), NAMES_PER_CALL):
            asked = list(names[first : first + NAMES_PER_CALL])
            found |= {alarm.name: alarm for alarm in self._described(AlarmNames=asked)}
        return found

    def alarm_names(self) -> Sequence[str]:
        return [alarm.name for alarm in self._described()]

    @property
    def _cloudwatch(self) -> Any:
        return self._session.client("cloudwatch")

    def _group(self, fleet: str) -> str:
        return self._groups.arn(fleet).rpartition(":")[2]

    def _of(self, fleet: str, id_: str, metric: str, stat: str) -> Query:
        dimensions = {"LoadBalancer": self._balancer, "TargetGroup": self._group(fleet)}
        return Query(id_, NAMESPACE, metric, dimensions, stat)

    def _read(
        self, queries: Sequence[Query], start: datetime, end: datetime, expression: str | None = None
    ) -> dict[str, dict[datetime, float]]:
        """The values by id and beginning of the period, empty where there are none."""
        asked = [self._asked(query, returned=expression is None) for query in queries]
        if expression is not None:
            asked.append({"Id": _result_id(queries), "Expression": expression, "ReturnData": True})
        end = max(end, start + timedelta(seconds=1))
        found: dict[str, dict[datetime, float]] = {one["Id"]: {} for one in asked if one["ReturnData"]}
        last: dict[str, Mapping[str, Any]] = {}
        with translated("reading metrics"):
            pages = self._cloudwatch.get_paginator("get_metric_data")
            for page in pages.paginate(MetricDataQueries=asked, StartTime=start, EndTime=end):
                for result in page["MetricDataResults"]:
                    last[result["Id"]] = result
                    found[result["Id"]] |= dict(zip(result["Timestamps"], result["Values"], strict=True))
        for result in last.values():
            _refuse_incomplete(result)
        return found

    def _asked(self, query: Query, *, returned: bool) -> dict[str, Any]:
        dimensions = [{"Name": name, "Value": value} for name, value in query.dimensions.items()]
        metric = {"Namespace": query.namespace, "MetricName": query.metric, "Dimensions": dimensions}
        stat = {"Metric": metric, "Period": self.period_seconds, "Stat": query.stat}
        return {"Id": query.id, "MetricStat": stat, "ReturnData": returned}

    def _described(self, **which: Any) -> Iterator[Alarm]:
        with translated("reading alarms"):
            for page in self._cloudwatch.get_paginator("describe_alarms").paginate(AlarmTypes=_KINDS, **which):
                for described in (*page.get("MetricAlarms", ()), *page.get("CompositeAlarms", ())):
                    complete = described.get("EvaluationState") in (None, "")
                    reason = described.get("StateReason", "")
                    name, state = described["AlarmName"], described["StateValue"]
                    yield Alarm(name, state, reason, complete, _window_seconds(described))


def _window_seconds(described: Mapping[str, Any]) -> float:
    """How far back an alarm looks; 0 for a composite one, which only says what others say."""
    stats = [query["MetricStat"] for query in described.get("Metrics", ()) if "MetricStat" in query]
    period = max([described.get("Period", 0), *(stat["Period"] for stat in stats)])
    return float(period * described.get("EvaluationPeriods", 0))


def _count(requests: float, by: Mapping[str, float]) -> Count:
    """No more is bad than there was: an answer may be to a request of the minute before."""
    failed = by["c5"] + by["refused"]
    return Count(requests, min(requests, failed), requests - failed - by["c2"] - by["c3"] - by["c4"])


def _result_id(queries: Sequence[Query]) -> str:
    """An id that none of them has."""
    return "result" + "_" * sum(query.id.startswith("result") for query in queries)


def _refuse_incomplete(result: Mapping[str, Any]) -> None:
    """Asked of the last page of a series: the pages before it say `PartialData` of themselves, and are joined."""
    status = result.get("StatusCode", "Complete")
    if status != "Complete":
        why = "; ".join(message.get("Value", "") for message in result.get("Messages", ())) or "CloudWatch says no more"
        raise CloudError(f"metric {result['Label']} cannot be read: {status}", why, "shipit doctor", str(status))
