"""Scheduled actions of a group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from moto.core.responses import ActionResult, EmptyResult

from shipit.sandbox.autoscaling import errors
from shipit.sandbox.autoscaling.cron import parse_cron
from shipit.sandbox.autoscaling.errors import AutoScalingError
from shipit.sandbox.autoscaling.schedule import following
from shipit.sandbox.autoscaling.state import Group, ScheduledAction
from shipit.sandbox.autoscaling.wire import Api

MOST_PER_GROUP = 125


class SchedulesApi(Api):
    def put_scheduled_update_group_action(self) -> ActionResult:
        asked = self._asked
        self._put_action(asked["AutoScalingGroupName"], asked)
        return EmptyResult()

    def batch_put_scheduled_update_group_action(self) -> ActionResult:
        asked = self._asked
        self._world.writable(asked["AutoScalingGroupName"])
        failed = []
        for one in asked["ScheduledUpdateGroupActions"]:
            try:
                self._put_action(asked["AutoScalingGroupName"], one)
            except AutoScalingError as error:
                failed.append(_failure(one["ScheduledActionName"], error))
        return ActionResult({"FailedScheduledUpdateGroupActions": failed})

    def _put_action(self, name: str, asked: Mapping[str, Any]) -> None:
        group = self._world.writable(name)
        action = self._action(group, asked)
        others = [one for key, one in group.schedules.items() if key != action.name]
        if any(one.next_run == action.next_run for one in others):
            when = f"{action.next_run:%Y-%m-%dT%H:%M:%SZ}"
            text = f"A scheduled action of AutoScalingGroup {name} already exists for {when}"
            raise AutoScalingError("AlreadyExists", text)
        if len(others) >= MOST_PER_GROUP:
            raise AutoScalingError("LimitExceeded", f"A group has at most {MOST_PER_GROUP} scheduled actions.")
        self._world.put(replace(group, schedules={**group.schedules, action.name: action}))

    def _action(self, group: Group, asked: Mapping[str, Any]) -> ScheduledAction:
        start, end = _moment(asked.get("StartTime") or asked.get("Time")), _moment(asked.get("EndTime"))
        self._check(asked, start, end)
        old = group.schedules.get(asked["ScheduledActionName"])
        prefix = f"arn:aws:autoscaling:{self.region}:{self.current_account}:scheduledUpdateGroupAction"
        ending = f"autoScalingGroupName/{group.name}:scheduledActionName/{asked['ScheduledActionName']}"
        action = ScheduledAction(
            name=asked["ScheduledActionName"],
            arn=old.arn if old else f"{prefix}:{uuid4()}:{ending}",
            next_run=start or self._now,
            start=start,
            end=end,
            recurrence=asked.get("Recurrence"),
            time_zone=asked.get("TimeZone"),
            min=asked.get("MinSize"),
            max=asked.get("MaxSize"),
            desired=asked.get("DesiredCapacity"),
        )
        first = start or following(action, self._now)
        if first is None:
            raise errors.invalid("Given recurrence never runs before the end time")
        return replace(action, next_run=first, start=first)

    def _check(self, asked: Mapping[str, Any], start: datetime | None, end: datetime | None) -> None:
        if all(asked.get(key) is None for key in ("MinSize", "MaxSize", "DesiredCapacity")):
            raise errors.invalid("You must specify at least one of MinSize, MaxSize or DesiredCapacity.")
        if start is None and not asked.get("Recurrence"):
            raise errors.invalid("You must specify at least one of StartTime or Recurrence.")
        if start and start <= self._now:
            raise errors.invalid("Given start time is in the past")
        if end and end <= (start or self._now):
            raise errors.invalid("Given end time is in the past or before the start time")
        try:
            if asked.get("Recurrence"):
                parse_cron(asked["Recurrence"])
            ZoneInfo(asked.get("TimeZone") or "UTC")
        except (ValueError, KeyError) as reason:
            raise errors.invalid(f"Given recurrence string or time zone is invalid: {reason}") from reason

    def delete_scheduled_action(self) -> ActionResult:
        asked = self._asked
        self._drop_action(asked["AutoScalingGroupName"], asked["ScheduledActionName"])
        return EmptyResult()

    def batch_delete_scheduled_action(self) -> ActionResult:
        asked = self._asked
        self._world.writable(asked["AutoScalingGroupName"])
        failed = []
        for name in asked["ScheduledActionNames"]:
            try:
                self._drop_action(asked["AutoScalingGroupName"], name)
            except AutoScalingError as error:
                failed.append(_failure(name, error))
        return ActionResult({"FailedScheduledActions": failed})

    def _drop_action(self, group_name: str, name: str) -> None:
        group = self._world.writable(group_name)
        if name not in group.schedules:
            raise errors.invalid("Scheduled action name not found")
        left = {key: one for key, one in group.schedules.items() if key != name}
        self._world.put(replace(group, schedules=left))

    def describe_scheduled_actions(self) -> ActionResult:
        asked = self._asked
        name, names = asked.get("AutoScalingGroupName"), asked.get("ScheduledActionNames")
        after, before = asked.get("StartTime"), asked.get("EndTime")
        groups = [self._world.group(name)] if name else list(self._world.groups.values())
        found = [
            _shape(group, action)
            for group in groups
            for action in sorted(group.schedules.values(), key=lambda one: one.next_run)
            if not names or action.name in names
            if (not after or action.next_run >= after) and (not before or action.next_run <= before)
        ]
        page, token = self._page(found)
        return ActionResult({"ScheduledUpdateGroupActions": page, "NextToken": token})


def _failure(name: str, error: AutoScalingError) -> dict[str, str]:
    return {"ScheduledActionName": name, "ErrorCode": error.code, "ErrorMessage": error.message}


def _shape(group: Group, action: ScheduledAction) -> dict[str, Any]:
    return {
        "AutoScalingGroupName": group.name,
        "ScheduledActionName": action.name,
        "ScheduledActionARN": action.arn,
        "Time": action.next_run,
        "StartTime": action.start,
        "EndTime": action.end,
        "Recurrence": action.recurrence,
        "TimeZone": action.time_zone,
        "MinSize": action.min,
        "MaxSize": action.max,
        "DesiredCapacity": action.desired,
    }


def _moment(value: datetime | None) -> datetime | None:
    """moto gives times in lists without a zone; they are UTC."""
    return value.replace(tzinfo=UTC) if value and value.tzinfo is None else value
