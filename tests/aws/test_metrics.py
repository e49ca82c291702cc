"""What CloudWatch knows of our fleets, over the wire of the sandbox."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shipit.aws.metrics import NAMESPACE, AwsMetrics
from shipit.counts import Count
from shipit.errors import CloudError
from shipit.ports import Query
from tests.contract.clouds import Place, cloud, place
from tests.sandbox.conftest import sandbox

__all__ = ["cloud", "place", "sandbox"]

PERIOD = 60
# Long ago enough to be published, a whole minute.
AT = datetime.fromtimestamp((time.time() - 1800) // PERIOD * PERIOD, UTC)
LATER = AT + timedelta(minutes=1)


@pytest.fixture
def metrics(place: Place) -> AwsMetrics:
    if place.cloud.kind != "sandbox":
        pytest.skip("moto's CloudWatch has neither trimmed counts nor arithmetic")
    place.group("green")
    return AwsMetrics(place.session, place.groups, place.listener, PERIOD, 60)


def publish(
    place: Place, metrics: AwsMetrics, name: str, at: datetime, values: dict[float, int], fleet: str = "green"
) -> None:
    places = metrics.places(fleet, fleet)
    dimensions = [
        {"Name": "LoadBalancer", "Value": places["load_balancer"]},
        {"Name": "TargetGroup", "Value": places["green"]},
    ]
    datum = {
        "MetricName": name,
        "Dimensions": dimensions,
        "Timestamp": at,
        "Values": list(values),
        "Counts": list(values.values()),
    }
    place.session.client("cloudwatch").put_metric_data(Namespace=NAMESPACE, MetricData=[datum])


def test_failures_are_counted_where_there_were_requests(place: Place, metrics: AwsMetrics) -> None:
    for at, requests in ((AT, 100), (LATER, 50)):
        publish(place, metrics, "RequestCount", at, {1.0: requests})
    publish(place, metrics, "HTTPCode_Target_5XX_Count", AT, {1.0: 3})
    publish(place, metrics, "TargetConnectionErrorCount", AT, {1.0: 2})
    for kind, answers in ((2, 90), (3, 1), (4, 2)):
        publish(place, metrics, f"HTTPCode_Target_{kind}XX_Count", AT, {1.0: answers})
    publish(place, metrics, "HTTPCode_Target_2XX_Count", LATER, {1.0: 52})
    counted = {AT: Count(100, 5, unanswered=2), LATER: Count(50, 0, unanswered=-2)}
    assert metrics.answered("green", AT, AT + timedelta(minutes=5)) == counted
    assert metrics.answered("green", LATER, LATER + timedelta(minutes=5)) == {LATER: counted[LATER]}


def test_without_requests_there_is_no_count(place: Place, metrics: AwsMetrics) -> None:
    publish(place, metrics, "HTTPCode_Target_5XX_Count", AT, {1.0: 3})
    assert metrics.answered("green", AT, LATER) == {}
    assert metrics.answered("green", AT, AT) == {}


def test_slow_answers_are_counted_above_a_limit(place: Place, metrics: AwsMetrics) -> None:
    publish(place, metrics, "TargetResponseTime", AT, {0.1: 90, 0.3: 8, 1.0: 2})
    assert metrics.slower("green", 0.2, AT, LATER) == {AT: Count(100, 10)}
    assert metrics.slower("green", 2, AT, LATER) == {AT: Count(100, 0)}
    assert metrics.percentile("green", 95, AT, LATER) == 0.3
    assert metrics.percentile("green", 95, LATER, LATER + timedelta(minutes=1)) is None


def test_a_usual_response_time_is_that_of_the_usual_minute(place: Place, metrics: AwsMetrics) -> None:
    for minute, seconds in enumerate((0.1, 9.0, 0.2)):
        publish(place, metrics, "TargetResponseTime", AT + timedelta(minutes=minute), {seconds: 10})
    assert metrics.percentile("green", 99, AT, AT + timedelta(minutes=3)) == 0.2


def test_metrics_and_arithmetic(place: Place, metrics: AwsMetrics) -> None:
    name = uuid.uuid4().hex
    place.session.client("cloudwatch").put_metric_data(
        Namespace=name,
        MetricData=[{"MetricName": "orders", "Timestamp": at, "Value": value} for at, value in ((AT, 2), (LATER, 4))],
    )
    query = Query("orders", name, "orders", {}, "Sum")
    span = (AT, AT + timedelta(minutes=5))
    assert metrics.values([query], None, *span) == {AT: 2, LATER: 4}
    assert metrics.values([query], "orders * 10", *span) == {AT: 20, LATER: 40}


def test_an_expression_that_cannot_be_read_is_told_in_aws_s_words(place: Place, metrics: AwsMetrics) -> None:
    with pytest.raises(CloudError, match="metrics"):
        metrics.values([Query("m", "Shop", "orders", {}, "Sum")], "m +", AT, LATER)


def test_alarms_of_both_kinds_are_seen_and_unknown_ones_are_absent(place: Place, metrics: AwsMetrics) -> None:
    cloudwatch, name = place.session.client("cloudwatch"), uuid.uuid4().hex
    common: dict[str, Any] = {"Period": 60, "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold"}
    cloudwatch.put_metric_alarm(
        AlarmName=name, Namespace="Shop", MetricName="m", Statistic="Sum", Threshold=0, **common
    )
    cloudwatch.put_composite_alarm(AlarmName=f"{name}-any", AlarmRule=f"ALARM({name})")
    found = metrics.alarms([name, f"{name}-any", "missing"])
    assert {alarm.name: alarm.complete for alarm in found.values()} == {name: True, f"{name}-any": True}
    assert found[name].state == "INSUFFICIENT_DATA"
    assert {name, f"{name}-any"} <= set(metrics.alarm_names())
    cloudwatch.delete_alarms(AlarmNames=[name, f"{name}-any"])


@pytest.mark.parametrize("status", ["InternalError", "Forbidden", "PartialData"])
def test_a_series_that_is_not_whole_is_not_used(place: Place, metrics: AwsMetrics, status: str) -> None:
    def spoil(parsed: dict[str, Any], **_: Any) -> None:
        for result in parsed["MetricDataResults"]:
            result["StatusCode"] = status

    place.wire._register("cloudwatch", "after-call.{}.GetMetricData", spoil)
    with pytest.raises(CloudError, match=status):
        metrics.answered("green", AT, LATER)


def test_what_can_be_asked_is_found_without_any_data(metrics: AwsMetrics) -> None:
    metrics.try_out()
    query = Query("m", "Shop", "Orders", {"TargetGroup": "{green}"}, "Sum")
    metrics.try_out([query], "100 * m")
    with pytest.raises(CloudError, match="reading metrics"):
        metrics.try_out([query], "NO_SUCH(m)")
