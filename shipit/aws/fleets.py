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
from shipit.aws.errors import code_of, message_of, translated
from shipit.aws.groups import TargetGroups
from shipit.aws.launching import Launcher
from shipit.aws.session import Session
from shipit.errors import CloudError, NotFound, Refused
from shipit.model import Exposure, Fleet, Instance, Pin, Version
from shipit.ports import Clock, Launch

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
        fleets = {group["AutoScalingGroupName"]: self._read(group) for group in described}
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
        joined = tuple(_join(instance, health) for instance in fleet.instances)
        missing = len(fleet.instances) < fleet.desired or any(i.leaving for i in fleet.instances)
        failure = launch_failure(self._asg, fleet.name) if missing else None
        return replace(fleet, instances=joined, failure=failure)

    def launch(self, launch: Launch) -> None:
        self._launcher.launch(launch)

    def resize(self, name: str, size: int) -> None:
        group = self._describe(name)
        low = size if _tags(group).get(naming.PIN) else min(group["MinSize"], size)
        self._update(name, MinSize=low, MaxSize=max(group["MaxSize"], size), DesiredCapacity=size)

    def pin(self, name: str, pin: Pin) -> None:
        group = self._describe(name)
        if naming.PIN not in _tags(group):
            already = {process["ProcessName"] for process in group["SuspendedProcesses"]}
            suspended = tuple(process for process in pin.suspended if process not in already)
            # Recorded before it is changed: whatever dies in between, the old values are known.
            self._tag(name, {naming.PIN: json.dumps({"min": group["MinSize"], "suspended": suspended})})
        else:
            suspended = _pin(_tags(group)).suspended  # type: ignore[union-attr]
        self._update(name, MinSize=group["DesiredCapacity"])
        if suspended:
            with translated(f"pinning {name}"):
                self._asg.suspend_processes(AutoScalingGroupName=name, ScalingProcesses=list(suspended))

    def unpin(self, name: str) -> None:
        group = self._describe(name)
        pin = _pin(_tags(group))
        if pin is None:
            return
        self._update(name, MinSize=min(pin.min_size, group["DesiredCapacity"]))
        if pin.suspended:
            with translated(f"unpinning {name}"):
                self._asg.resume_processes(AutoScalingGroupName=name, ScalingProcesses=list(pin.suspended))
        self._untag(name, naming.PIN)

    def expose(self, name: str, exposure: Exposure) -> None:
        self._tag(name, {naming.EXPOSURE: exposure.value})

    def park(self, name: str, until: datetime, floor: int) -> None:
        """Said before it is scheduled: a fleet that will shrink by itself must be known as one. A date that has passed (a
        fleet that is put back as it was found) needs no action: AWS would refuse it.
        """
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
        self._tag(name, {naming.LEAVING: "true"})
        self._update(name, MinSize=0, DesiredCapacity=0)

    def delete(self, name: str, *, at_once: bool) -> bool:
        """The group goes last: it carries the tags by which a deletion that was cut short is found and finished."""
        group = self._find(name)
        if group is not None and (_tags(group).get(naming.APP), _tags(group).get(naming.ENV)) != (self._app, self._env):
            raise Refused(
                f"will not delete group {name}", f"its tags do not say {self._app}/{self._env}", "shipit status"
            )
        if group is not None and group["Instances"] and not at_once:
            return False
        if not self._groups.delete(name):
            return False
        self._launcher.delete_template(name)
        if group is None:
            return True
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
            if _is_gone(error):
                return True
            raise
        return True

    def _read(self, group: Mapping[str, Any]) -> Fleet:
        name = group["AutoScalingGroupName"]
        try:
            return self._fleet(name, group, _tags(group))
        except (ValueError, KeyError, TypeError) as error:
            what = f"a tag of Auto Scaling group {name} cannot be read"
            raise Refused(
                what, f"{type(error).__name__}: {error}", f"mend the {naming.PREFIX}* tags of {name}"
            ) from error

    def _fleet(self, name: str, group: Mapping[str, Any], tags: Mapping[str, str]) -> Fleet:
        arns = group.get("TargetGroupARNs", [])
        if arns:
            self._groups.learn(name, arns[0])
        until = tags.get(naming.PARKED_UNTIL)
        return Fleet(
            name=name,
            version=Version(tags.get(naming.VERSION, name), tags.get(naming.COMMIT, "")),
            image_id=tags.get(naming.IMAGE, ""),
            launch_digest=tags.get(naming.DIGEST, ""),
            min_size=group["MinSize"],
            max_size=group["MaxSize"],
            desired=group["DesiredCapacity"],
            instances=tuple(_instance(instance, name) for instance in group.get("Instances", [])),
            whole=bool(arns),
            leaving=bool(group.get("Status")) or naming.LEAVING in tags,
            exposure=Exposure(tags.get(naming.EXPOSURE, "none")),
            parked_until=datetime.fromisoformat(until) if until else None,
            pin=_pin(tags),
            created_at=group.get("CreatedTime"),
        )

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
            self._asg.create_or_update_tags(Tags=[_tag(name, key, value) for key, value in values.items()])

    def _untag(self, name: str, key: str) -> None:
        with translated(f"tagging {name}"):
            self._asg.delete_tags(Tags=[{"ResourceId": name, "ResourceType": "auto-scaling-group", "Key": key}])


def _tag(name: str, key: str, value: str) -> dict[str, object]:
    kind = "auto-scaling-group"
    return {"ResourceId": name, "ResourceType": kind, "Key": key, "Value": value, "PropagateAtLaunch": False}


def _tags(group: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in group.get("Tags", [])}


def _pin(tags: Mapping[str, str]) -> Pin | None:
    if naming.PIN not in tags:
        return None
    values = json.loads(tags[naming.PIN])
    return Pin(int(values["min"]), tuple(values.get("suspended", ())))


def _instance(described: Mapping[str, Any], fleet: str) -> Instance:
    template = described.get("LaunchTemplate", {})
    return Instance(
        id=described["InstanceId"],
        lifecycle=described["LifecycleState"],
        group_healthy=described.get("HealthStatus", "Healthy").lower() == "healthy",
        ours=template.get("LaunchTemplateName") == fleet,
    )


def _join(instance: Instance, health: Mapping[str, tuple[Any, str, str]]) -> Instance:
    if instance.id not in health:
        return instance
    state, reason, description = health[instance.id]
    return replace(instance, target=state, reason=reason, description=description)


def _is_gone(error: CloudError) -> bool:
    """Auto Scaling says `ValidationError` for everything; here its text is the only way to tell (field notes B7)."""
    text = message_of(error.__cause__) if error.__cause__ else error.why
    return code_of(error) == "ValidationError" and ("not found" in text or "pending delete" in text)
