"""Fleets as AWS has them: found by tag, read, resized, pinned, parked, drained, deleted.

All state of a fleet lies in tags of its own Auto Scaling group, so that any shipit, anywhere, can go on with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from shipit import naming
from shipit.aws.activities import launch_failure
from shipit.aws.console import last_lines
from shipit.aws.described import fleet_of, held_sizes, is_gone, joined, pin_of, tag_of, tags_of
from shipit.aws.errors import code_of, translated
from shipit.aws.groups import TargetGroups
from shipit.aws.launching import Launcher
from shipit.aws.session import Session
from shipit.errors import CloudError, NotFound, Refused
from shipit.model import Exposure, Fleet, Pin
from shipit.ports import Clock, Launch

SCHEDULED = "ScheduledActions"
# Without these a group neither ends nor replaces its sick instances.
KEEPING = ("ReplaceUnhealthy", "Terminate")
NOT_EMPTY_YET = frozenset({"ResourceInUse", "ScalingActivityInProgress", "ResourceContention"})


class AwsFleets:
    """Implements `ports.Fleets` for one app and environment."""

    def __init__(
        self, session: Session, groups: TargetGroups, launcher: Launcher, clock: Clock, app: str, env: str
    ) -> None:
        self._session = session
        self._groups = groups
        self._launcher = launcher
        self._clock = clock
        self._app = app
        self._env = env

    @property
    def _asg(self) -> Any:
        return self._session.client("autoscaling")

    def observe(self, also: Sequence[str] = ()) -> Mapping[str, Fleet]:
        filters = [
            {"Name": f"tag:{naming.APP}", "Values": [self._app]},
            {"Name": f"tag:{naming.ENV}", "Values": [self._env]},
        ]
        with translated("reading the Auto Scaling groups"):
            pages = self._asg.get_paginator("describe_auto_scaling_groups").paginate(Filters=filters)
            described = [group for page in pages for group in page["AutoScalingGroups"]]
        fleets = {group["AutoScalingGroupName"]: self._seen(group) for group in described}
        for name in set(also) - set(fleets):
            part = self._launcher.part_of(name)
            if part:
                fleets[name] = part
        return fleets

    def strays(self, older_than: datetime) -> Sequence[str]:
        templates = self._launcher.templates(older_than)
        return sorted(set(templates) - set(self.observe())) if templates else ()

    def with_health(self, fleet: Fleet) -> Fleet:
        if not fleet.whole:
            return fleet
        try:
            health = self._groups.health(fleet.name)
        except NotFound:
            return replace(fleet, whole=False)
        told = tuple(joined(instance, health) for instance in fleet.instances)
        missing = len(fleet.instances) < fleet.desired or any(i.leaving for i in fleet.instances)
        failure = launch_failure(self._asg, fleet.name) if missing else None
        return replace(fleet, instances=told, failure=failure)

    def launch(self, launch: Launch) -> None:
        self._launcher.launch(launch)

    def resize(self, name: str, size: int) -> None:
        group = self._describe(name)
        pin = pin_of(tags_of(group))
        if pin:
            held = {"min": pin.min_size, "held": size, "was": group["MinSize"], "suspended": pin.suspended}
            self._tag(name, {naming.PIN: json.dumps(held)})
        low = size if pin else min(group["MinSize"], size)
        self._update(name, MinSize=low, MaxSize=max(group["MaxSize"], size), DesiredCapacity=size)

    def pin(self, name: str, pin: Pin) -> None:
        group = self._describe(name)
        if naming.PIN not in tags_of(group):
            already = {process["ProcessName"] for process in group["SuspendedProcesses"]}
            suspended = tuple(process for process in pin.suspended if process not in already)
            # Recorded before it is changed: whatever dies in between, the old values are known.
            held = {"min": group["MinSize"], "held": group["DesiredCapacity"], "suspended": suspended}
            self._tag(name, {naming.PIN: json.dumps(held)})
        else:
            suspended = pin_of(tags_of(group)).suspended  # type: ignore[union-attr]
        self._update(name, MinSize=group["DesiredCapacity"])
        self._suspend(name, suspended)

    def unpin(self, name: str) -> str:
        group = self._describe(name)
        pin = pin_of(tags_of(group))
        if pin is None:
            return ""
        edited = group["MinSize"] not in held_sizes(tags_of(group))
        if not edited:
            self._update(name, MinSize=min(pin.min_size, group["DesiredCapacity"]))
        self._resume(name, pin.suspended)
        self._untag(name, naming.PIN)
        return (
            f"MinSize of {name} was set to {group['MinSize']} by somebody else meanwhile, and stays so"
            if edited
            else ""
        )

    def keep(self, name: str, until: datetime) -> None:
        """Instances that are ended now would take what can be learned from them along."""
        self._tag(name, {naming.KEPT_UNTIL: until.isoformat(timespec="seconds")})
        self._suspend(name, KEEPING)

    def _suspend(self, name: str, processes: Sequence[str]) -> None:
        if processes:
            with translated(f"suspending processes of {name}"):
                self._asg.suspend_processes(AutoScalingGroupName=name, ScalingProcesses=list(processes))

    def _resume(self, name: str, processes: Sequence[str]) -> None:
        if processes:
            with translated(f"resuming processes of {name}"):
                self._asg.resume_processes(AutoScalingGroupName=name, ScalingProcesses=list(processes))

    def expose(self, name: str, exposure: Exposure) -> None:
        self._tag(name, {naming.EXPOSURE: exposure.value})

    def park(self, name: str, until: datetime, floor: int) -> None:
        """Scheduled actions run again first: its retirement is one. Said before it is scheduled: a fleet that will shrink by
        itself must be known as one. A date that has passed (a
        fleet that is put back as it was found) needs no action: AWS would refuse it.
        """
        pin = pin_of(tags_of(self._describe(name)))
        if pin and SCHEDULED in pin.suspended:
            self._resume(name, [SCHEDULED])
        self._tag(name, {naming.PARKED_UNTIL: until.isoformat(timespec="seconds")})
        if until > self._clock.now():
            self._schedule_retirement(name, until, floor)

    def _schedule_retirement(self, name: str, until: datetime, floor: int) -> None:
        with translated(f"scheduling the retirement of {name}"):
            self._asg.put_scheduled_update_group_action(
                AutoScalingGroupName=name,
                ScheduledActionName=naming.RETIRE_ACTION,
                StartTime=until,
                MinSize=floor,
                DesiredCapacity=floor,
            )

    def unpark(self, name: str) -> None:
        try:
            with translated(f"cancelling the retirement of {name}"):
                self._asg.delete_scheduled_action(AutoScalingGroupName=name, ScheduledActionName=naming.RETIRE_ACTION)
        except CloudError as error:
            # It has run, or an earlier try took it away. Auto Scaling has no code of its own for that.
            if code_of(error) != "ValidationError":
                raise
        self._untag(name, naming.PARKED_UNTIL)

    def drain(self, name: str) -> None:
        if naming.KEPT_UNTIL in tags_of(self._describe(name)):
            self._resume(name, KEEPING)
        self._tag(name, {naming.LEAVING: "true"})
        self._update(name, MinSize=0, DesiredCapacity=0)

    def delete(self, name: str, *, at_once: bool) -> bool:
        """The group goes last: it carries the tags by which a deletion that was cut short is found and finished."""
        group = self._find(name)
        if group is not None and (tags_of(group).get(naming.APP), tags_of(group).get(naming.ENV)) != (
            self._app,
            self._env,
        ):
            raise Refused(
                f"will not delete group {name}", f"its tags do not say {self._app}/{self._env}", "shipit status"
            )
        if group is not None and group["Instances"] and not at_once:
            return False
        if not self._groups.delete(name):
            return False
        self._launcher.delete_template(name)
        if group is None:
            # One that was launched a moment ago may not be seen yet; that AWS does not know the name is the proof.
            return self._delete_group(name, at_once)
        if not group.get("Status") and not self._delete_group(name, at_once):
            return False
        return self._find(name) is None

    def last_words(self, instance_id: str) -> Sequence[str]:
        return last_lines(self._session.client("ec2"), instance_id)

    def _delete_group(self, name: str, at_once: bool) -> bool:
        try:
            with translated(f"deleting group {name}"):
                self._asg.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=at_once)
        except CloudError as error:
            if code_of(error) in NOT_EMPTY_YET:
                return False
            if is_gone(error):
                return True
            raise
        return True

    def _seen(self, group: Mapping[str, Any]) -> Fleet:
        arns = group.get("TargetGroupARNs", [])
        if arns:
            self._groups.learn(group["AutoScalingGroupName"], arns[0])
        return fleet_of(group)

    def _find(self, name: str) -> dict[str, Any] | None:
        with translated(f"reading group {name}"):
            answer = self._asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        return next(iter(answer["AutoScalingGroups"]), None)

    def _describe(self, name: str) -> dict[str, Any]:
        group = self._find(name)
        if group is None:
            raise NotFound(f"fleet {name} is gone", "its Auto Scaling group does not exist", "shipit status")
        return group

    def _update(self, name: str, **sizes: int) -> None:
        with translated(f"changing the size of {name}"):
            self._asg.update_auto_scaling_group(AutoScalingGroupName=name, **sizes)

    def _tag(self, name: str, values: Mapping[str, str]) -> None:
        with translated(f"tagging {name}"):
            self._asg.create_or_update_tags(Tags=[tag_of(name, key, value) for key, value in values.items()])

    def _untag(self, name: str, key: str) -> None:
        with translated(f"tagging {name}"):
            self._asg.delete_tags(Tags=[{"ResourceId": name, "ResourceType": "auto-scaling-group", "Key": key}])
