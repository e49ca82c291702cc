"""CloudWatch over the wire, about real requests: counts, percentiles, arithmetic, alarms."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shipit.sandbox.state import State
from tests.sandbox.conftest import CAN_RUN, unique_name
from tests.sandbox.machines_of_tests import boot

pytestmark = [pytest.mark.sandbox, pytest.mark.skipif(not CAN_RUN, reason="needs root, HAProxy and iproute2")]

Client = Callable[[str], Any]
PERIOD = 5
GOOD, BAD = 40, 10
# Answers 500 where the path says so, and takes its time where it says so.
SERVER = """
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        if "slow" in self.path:
            time.sleep(0.2)
        self.send_response(500 if "bad" in self.path else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass

ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("", 8080), Answer).serve_forever()
"""
BOOT = f"#!/bin/sh\ncat > /srv/answer.py <<'END'{SERVER}END\nsetsid python3 /srv/answer.py &\n"


@dataclass
class Place:
    """A target group with one instance behind a rule of its own, and what CloudWatch calls both."""

    url: str
    balancer: str
    group: str

    def get(self, path: str) -> int:
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return int(error.code)

    def metric(self, name: str) -> dict[str, Any]:
        dimensions = [{"Name": "LoadBalancer", "Value": self.balancer}, {"Name": "TargetGroup", "Value": self.group}]
        return {"Namespace": "AWS/ApplicationELB", "MetricName": name, "Dimensions": dimensions}


@pytest.fixture(scope="module")
def place(sandbox: State, client: Client) -> Iterator[Place]:
    elb, ec2, name = client("elbv2"), client("ec2"), unique_name()
    instance = boot(ec2, sandbox.base_image_id, BOOT)["InstanceId"]
    check = {"HealthCheckPath": "/", "HealthCheckIntervalSeconds": 5, "HealthyThresholdCount": 2}
    made = elb.create_target_group(Name=name, Protocol="HTTP", Port=8080, VpcId=sandbox.vpc_id, **check)
    group = made["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": instance}])
    rule = elb.create_rule(
        ListenerArn=sandbox.listener_arn,
        Priority=4321,
        Conditions=[{"Field": "path-pattern", "Values": [f"/{name}/*"]}],
        Actions=[{"Type": "forward", "TargetGroupArn": group}],
    )["Rules"][0]["RuleArn"]
    eventually(lambda: health(elb, group), "healthy")
    balancer = sandbox.load_balancer_arn.partition(":loadbalancer/")[2]
    yield Place(f"{sandbox.front_door_url.rstrip('/')}/{name}/", balancer, group.rpartition(":")[2])
    elb.delete_rule(RuleArn=rule)
    elb.delete_target_group(TargetGroupArn=group)
    ec2.terminate_instances(InstanceIds=[instance])


@pytest.fixture(scope="module")
def sent(place: Place) -> tuple[datetime, datetime]:
    """Requests were sent, some bad and those slow; in periods that no other test's requests are in."""
    began = next_period()
    with ThreadPoolExecutor(10) as pool:
        codes = list(pool.map(place.get, ["good"] * GOOD + ["bad-slow"] * BAD))
    assert codes.count(200) == GOOD
    assert codes.count(500) == BAD
    return began, next_period()


def next_period() -> datetime:
    """Waits until a period begins."""
    begin = (time.time() // PERIOD + 1) * PERIOD
    time.sleep(begin - time.time())
    return datetime.fromtimestamp(begin, UTC)


def eventually(probe: Callable[[], Any], wanted: Any = True, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while (found := probe()) != wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found == wanted


def health(elb: Any, group: str) -> str:
    found = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return str(found[0]["TargetHealth"]["State"])


def query(place: Place, id_: str, name: str, stat: str = "Sum", **more: Any) -> dict[str, Any]:
    return {"Id": id_, "MetricStat": {"Metric": place.metric(name), "Period": PERIOD, "Stat": stat}, **more}


def total(client: Client, sent: tuple[datetime, datetime], *queries: dict[str, Any]) -> dict[str, float]:
    answer = client("cloudwatch").get_metric_data(StartTime=sent[0], EndTime=sent[1], MetricDataQueries=queries)
    assert all(one["StatusCode"] == "Complete" for one in answer["MetricDataResults"])
    return {one["Id"]: sum(one["Values"]) for one in answer["MetricDataResults"]}


def test_requests_are_counted_by_target_group(place: Place, sent: tuple[datetime, datetime], client: Client) -> None:
    queries = [
        query(place, "all", "RequestCount"),
        query(place, "good", "HTTPCode_Target_2XX_Count"),
        query(place, "bad", "HTTPCode_Target_5XX_Count"),
        query(place, "slow", "TargetResponseTime", "TC(0.15:)"),
        query(place, "moved", "HTTPCode_Target_3XX_Count"),
    ]
    wanted = {"all": GOOD + BAD, "good": GOOD, "bad": BAD, "slow": BAD, "moved": 0}
    eventually(lambda: total(client, sent, *queries), wanted)


def test_a_share_of_errors_is_computed_where_there_were_requests(
    place: Place, sent: tuple[datetime, datetime], client: Client
) -> None:
    eventually(lambda: total(client, sent, query(place, "all", "RequestCount")), {"all": GOOD + BAD})
    hidden = [
        query(place, "all", "RequestCount", ReturnData=False),
        query(place, "bad", "HTTPCode_Target_5XX_Count", ReturnData=False),
    ]
    share = {"Id": "share", "Expression": "100 * SUM(FILL(bad, 0)) / SUM(all)"}
    answer = client("cloudwatch").get_metric_data(
        StartTime=sent[0], EndTime=sent[1], MetricDataQueries=[*hidden, share]
    )
    (found,) = answer["MetricDataResults"]
    assert found["Values"]
    assert set(found["Values"]) == {100 * BAD / (GOOD + BAD)}


def test_statistics_list_and_hosts(place: Place, sent: tuple[datetime, datetime], client: Client) -> None:
    cloudwatch, metric = client("cloudwatch"), place.metric("TargetResponseTime")
    eventually(lambda: total(client, sent, query(place, "all", "RequestCount")), {"all": GOOD + BAD})
    points = cloudwatch.get_metric_statistics(
        **metric,
        StartTime=sent[0],
        EndTime=sent[1],
        Period=PERIOD,
        ExtendedStatistics=["p99"],
        Statistics=["SampleCount"],
    )["Datapoints"]
    assert sum(point["SampleCount"] for point in points) == GOOD + BAD
    assert max(point["ExtendedStatistics"]["p99"] for point in points) >= 0.2
    listed = cloudwatch.list_metrics(Namespace="AWS/ApplicationELB", Dimensions=metric["Dimensions"][1:])["Metrics"]
    assert {"RequestCount", "HealthyHostCount"} <= {one["MetricName"] for one in listed}
    found = total(client, sent, query(place, "hosts", "HealthyHostCount", "Minimum"))
    assert found["hosts"] >= 1


def test_alarms_are_evaluated(place: Place, client: Client) -> None:
    cloudwatch, name = client("cloudwatch"), unique_name()
    common: dict[str, Any] = {"Period": PERIOD, "EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold"}
    cloudwatch.put_metric_alarm(
        AlarmName=name, **place.metric("HTTPCode_Target_5XX_Count"), Statistic="Sum", Threshold=0, **common
    )
    cloudwatch.put_composite_alarm(AlarmName=f"{name}-any", AlarmRule=f"ALARM({name})")
    assert states(cloudwatch, name) == {name: "INSUFFICIENT_DATA"}, "composite alarms are listed only when asked for"
    before = datetime.now(UTC)
    assert place.get("bad") == 500
    eventually(lambda: set(states(cloudwatch, name, "MetricAlarm", "CompositeAlarm").values()), {"ALARM"})
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert alarm["StateTransitionedTimestamp"] >= before - timedelta(seconds=1)
    # Nothing is published where there is no error: missing data, not zero.
    eventually(lambda: states(cloudwatch, name), {name: "INSUFFICIENT_DATA"})
    cloudwatch.delete_alarms(AlarmNames=[name, f"{name}-any"])
    assert states(cloudwatch, name) == {}


def states(cloudwatch: Any, name: str, *kinds: str) -> dict[str, str]:
    found = cloudwatch.describe_alarms(AlarmNamePrefix=name, **({"AlarmTypes": list(kinds)} if kinds else {}))
    return {one["AlarmName"]: one["StateValue"] for key in ("MetricAlarms", "CompositeAlarms") for one in found[key]}


def test_own_metrics_are_kept_like_aws_s(client: Client) -> None:
    cloudwatch, name = client("cloudwatch"), unique_name()
    now = datetime.now(UTC)
    cloudwatch.put_metric_data(
        Namespace=name,
        MetricData=[
            {"MetricName": "orders", "Value": 3, "Timestamp": now, "StorageResolution": 1},
            {"MetricName": "orders", "Values": [1, 2], "Counts": [2, 3], "Timestamp": now, "StorageResolution": 1},
        ],
    )
    stat = {"Metric": {"Namespace": name, "MetricName": "orders"}, "Period": 1, "Stat": "Sum"}
    span = (now - timedelta(seconds=PERIOD), now + timedelta(seconds=PERIOD))
    eventually(lambda: total(client, span, {"Id": "orders", "MetricStat": stat}), {"orders": 11})


def test_what_cannot_be_answered_is_refused(place: Place, client: Client) -> None:
    cloudwatch = client("cloudwatch")
    now = datetime.now(UTC)
    for queries in ([query(place, "a", "RequestCount", "p200")], [{"Id": "a", "Expression": "nope * 2"}]):
        with pytest.raises(ClientError, match="ValidationError"):
            cloudwatch.get_metric_data(StartTime=now - timedelta(hours=1), EndTime=now, MetricDataQueries=queries)
    with pytest.raises(ClientError, match="do not exist"):
        cloudwatch.put_composite_alarm(AlarmName="any", AlarmRule="ALARM(missing)")
