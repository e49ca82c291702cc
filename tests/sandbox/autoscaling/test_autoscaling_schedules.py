# ruff: noqa: N802 - named after the rows of the field notes
"""Scheduled actions act, and cron expressions mean what cron means."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from shipit.sandbox.autoscaling.cron import parse_cron

from .fakes import Scaling

GROUP = {"AutoScalingGroupName": "web-1"}
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)  # a Thursday


def put(scaling: Scaling, name: str = "night", **asked: Any) -> None:
    scaling.client.put_scheduled_update_group_action(**GROUP, ScheduledActionName=name, **asked)


def scheduled(scaling: Scaling) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = scaling.client.describe_scheduled_actions(**GROUP)["ScheduledUpdateGroupActions"]
    return found


def test_J26_a_one_off_action_acts_once_and_disappears(scaling: Scaling) -> None:
    scaling.created(size=1)
    put(scaling, StartTime=NOON + timedelta(minutes=5), MinSize=2, DesiredCapacity=3)
    assert scheduled(scaling)[0]["StartTime"] == NOON + timedelta(minutes=5)
    scaling.clock.pass_seconds(301)
    scaling.settle()
    assert (scaling.group()["MinSize"], len(scaling.ids())) == (2, 3)
    assert scheduled(scaling) == []
    assert "a scheduled action (night) update of AutoScalingGroup constraints" in scaling.activities()[0]["Cause"]


def test_J26_a_recurring_action_waits_for_its_next_time(scaling: Scaling) -> None:
    scaling.created(size=1)
    put(scaling, Recurrence="0 22 * * *", DesiredCapacity=0)
    assert scheduled(scaling)[0]["StartTime"] == NOON + timedelta(hours=10)
    scaling.clock.pass_seconds(10 * 3600 + 1)
    scaling.settle()
    assert scaling.group()["DesiredCapacity"] == 0
    assert scheduled(scaling)[0]["StartTime"] == NOON + timedelta(hours=34)


def test_J26_a_suspended_schedule_lets_the_time_pass(scaling: Scaling) -> None:
    scaling.created(size=1)
    put(scaling, StartTime=NOON + timedelta(minutes=5), DesiredCapacity=3)
    scaling.client.suspend_processes(**GROUP, ScalingProcesses=["ScheduledActions"])
    scaling.clock.pass_seconds(301)
    scaling.settle()
    scaling.client.resume_processes(**GROUP)
    scaling.settle()
    assert scaling.group()["DesiredCapacity"] == 1


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"StartTime": NOON, "MinSize": 1}, "Given start time is in the past"),
        ({"StartTime": NOON + timedelta(hours=1)}, "at least one of MinSize, MaxSize or DesiredCapacity"),
        ({"MinSize": 1}, "at least one of StartTime or Recurrence"),
        ({"Recurrence": "61 * * * *", "MinSize": 1}, "Given recurrence string or time zone is invalid"),
        ({"Recurrence": "0 1 * * *", "TimeZone": "Moon/Sea", "MinSize": 1}, "time zone is invalid"),
    ],
)
def test_J26_impossible_schedules_are_refused(scaling: Scaling, asked: dict[str, Any], message: str) -> None:
    scaling.create(size=0)
    with pytest.raises(ClientError, match="ValidationError") as caught:
        put(scaling, **asked)
    assert message in caught.value.response["Error"]["Message"]


def test_J26_two_actions_at_one_time_are_refused_in_one_group_only(scaling: Scaling) -> None:
    scaling.create(size=0)
    scaling.create("web-2", size=0)
    at: dict[str, Any] = {"StartTime": NOON + timedelta(hours=1), "MinSize": 1}
    put(scaling, **at)
    with pytest.raises(ClientError, match="AlreadyExists"):
        put(scaling, "other", **at)
    put(scaling, **{**at, "MinSize": 2})
    scaling.client.put_scheduled_update_group_action(AutoScalingGroupName="web-2", ScheduledActionName="night", **at)


def test_J26_batches_report_what_failed(scaling: Scaling) -> None:
    scaling.create(size=0)
    good = {"ScheduledActionName": "good", "StartTime": NOON + timedelta(hours=1), "MinSize": 1}
    bad = {"ScheduledActionName": "bad", "StartTime": NOON, "MinSize": 1}
    answer = scaling.client.batch_put_scheduled_update_group_action(**GROUP, ScheduledUpdateGroupActions=[good, bad])
    [failed] = answer["FailedScheduledUpdateGroupActions"]
    assert (failed["ScheduledActionName"], failed["ErrorCode"]) == ("bad", "ValidationError")
    gone = scaling.client.batch_delete_scheduled_action(**GROUP, ScheduledActionNames=["good", "bad"])
    assert [one["ScheduledActionName"] for one in gone["FailedScheduledActions"]] == ["bad"]
    assert scheduled(scaling) == []


@pytest.mark.parametrize(
    ("expression", "zone", "expected"),
    [
        ("0 22 * * *", None, "2026-01-01T22:00"),
        ("*/15 * * * *", None, "2026-01-01T12:15"),
        ("0 8 * * MON-FRI", None, "2026-01-02T08:00"),
        ("0 8 * * 0", None, "2026-01-04T08:00"),
        ("0 8 * * 7", None, "2026-01-04T08:00"),
        ("30 0 1 1,6,12 *", None, "2026-06-01T00:30"),
        ("0 0 13 * 5", None, "2026-01-02T00:00"),
        ("0 12 * * *", "Europe/Berlin", "2026-01-02T11:00"),
    ],
)
def test_cron_finds_the_next_time(expression: str, zone: str | None, expected: str) -> None:
    found = parse_cron(expression).next_after(NOON, zone)
    assert found == datetime.fromisoformat(f"{expected}:00+00:00")


def test_cron_says_never(scaling: Scaling) -> None:
    assert parse_cron("0 0 30 2 *").next_after(NOON, None) is None
