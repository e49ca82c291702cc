"""Capacity, single instances, suspended processes, metrics collection."""

from __future__ import annotations

from dataclasses import replace

from moto.core.responses import ActionResult, EmptyResult

from shipit.sandbox.autoscaling import activities, errors, transitions, validation
from shipit.sandbox.autoscaling.decide import in_grace
from shipit.sandbox.autoscaling.describe_api import activity_shape
from shipit.sandbox.autoscaling.moves import Facts, Retire
from shipit.sandbox.autoscaling.state import Group
from shipit.sandbox.autoscaling.wire import Api

METRICS = (
    "GroupDesiredCapacity",
    "GroupInServiceInstances",
    "GroupMaxSize",
    "GroupMinSize",
    "GroupPendingInstances",
    "GroupStandbyInstances",
    "GroupTerminatingInstances",
    "GroupTotalInstances",
)


class InstancesApi(Api):
    def set_desired_capacity(self) -> ActionResult:
        asked = self._asked
        group = self._world.writable(asked["AutoScalingGroupName"])
        desired, sizes = asked["DesiredCapacity"], group.sizes
        prefix = f"New SetDesiredCapacity value {desired} is"
        if desired > sizes.max:
            raise errors.invalid(f"{prefix} above max value {sizes.max} for the AutoScalingGroup.")
        if desired < sizes.min:
            raise errors.invalid(f"{prefix} below min value {sizes.min} for the AutoScalingGroup.")
        change = activities.desired_change(sizes.desired, desired, self._now)
        transitions.set_sizes(self._world, group, replace(sizes, desired=desired), change)
        return EmptyResult()

    def terminate_instance_in_auto_scaling_group(self) -> ActionResult:
        asked = self._asked
        ids = asked.get("InstanceIds") or [asked.get("InstanceId") or ""]
        found = [self._terminate(one, decrement=bool(asked["ShouldDecrementDesiredCapacity"])) for one in ids]
        shapes = [activity_shape(self._world.activities[one]) for one in found]
        return ActionResult({"Activity": shapes[0]} if asked.get("InstanceId") else {"Activities": shapes})

    def _terminate(self, instance_id: str, *, decrement: bool) -> str:
        group, member = self._world.find(instance_id)
        self._world.writable(group.name)
        if member.leaving:
            return member.activity_id
        actual = group.sizes.desired if decrement else None
        if decrement:
            group = self._decremented(group)
        cause = activities.requested_cause(instance_id, self._now, actual=actual)
        return transitions.begin_leaving(self._world, group, member, Retire(member.key, cause), self._now)

    def _decremented(self, group: Group) -> Group:
        if group.sizes.desired <= group.sizes.min:
            raise errors.invalid(
                f"Currently, desiredSize equals minSize ({group.sizes.min}). Terminating instance without replacement "
                "will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or "
                "lower group's min size."
            )
        return replace(group, sizes=replace(group.sizes, desired=group.sizes.desired - 1))

    def set_instance_health(self) -> ActionResult:
        asked = self._asked
        group, member = self._world.find(asked["InstanceId"])
        self._world.writable(group.name)
        status = asked["HealthStatus"]
        if status not in ("Healthy", "Unhealthy"):
            raise errors.invalid(f"The health status {status} is invalid: it must be Healthy or Unhealthy.")
        spared = asked.get("ShouldRespectGracePeriod", True) and in_grace(group, member, Facts(self._now))
        if status == "Healthy" or not spared:
            changed = replace(member, health=status, unhealthy_cause=activities.USER_UNHEALTHY)
            self._world.put(group.with_member(changed))
        return EmptyResult()

    def set_instance_protection(self) -> ActionResult:
        asked = self._asked
        name, ids = asked["AutoScalingGroupName"], asked["InstanceIds"]
        group = self._world.writable(name)
        if len(ids) > 50:
            raise errors.invalid("SetInstanceProtection takes at most 50 instance ids.")
        members = {member.instance_id: member for member in group.members if member.instance_id}
        for one in ids:
            if one not in members:
                raise errors.invalid(f"The instance {one} is not part of Auto Scaling group {name}.")
            group = group.with_member(replace(members[one], protected=asked["ProtectedFromScaleIn"]))
        self._world.put(group)
        return EmptyResult()

    def suspend_processes(self) -> ActionResult:
        asked = self._asked
        group = self._world.group(asked["AutoScalingGroupName"])
        if group.deleting:
            raise errors.invalid("Processes may not be suspended while the AutoScaling group is pending delete")
        names = asked.get("ScalingProcesses") or validation.PROCESSES
        validation.check_processes(names)
        reason = f"User suspended at {self._now:%Y-%m-%dT%H:%M:%SZ}"
        suspended = {**dict.fromkeys(names, reason), **group.suspended}
        self._world.put(replace(group, suspended=suspended))
        return EmptyResult()

    def resume_processes(self) -> ActionResult:
        asked = self._asked
        group = self._world.writable(asked["AutoScalingGroupName"])
        names = asked.get("ScalingProcesses") or validation.PROCESSES
        validation.check_processes(names)
        left = {name: why for name, why in group.suspended.items() if name not in names}
        self._world.put(replace(group, suspended=left))
        return EmptyResult()

    def enable_metrics_collection(self) -> ActionResult:
        asked = self._asked
        group = self._world.writable(asked["AutoScalingGroupName"])
        if asked["Granularity"] != "1Minute":
            raise errors.invalid("The only valid granularity is 1Minute.")
        self._world.put(replace(group, metrics=group.metrics | set(asked.get("Metrics") or METRICS)))
        return EmptyResult()

    def disable_metrics_collection(self) -> ActionResult:
        asked = self._asked
        group = self._world.writable(asked["AutoScalingGroupName"])
        self._world.put(replace(group, metrics=group.metrics - set(asked.get("Metrics") or group.metrics)))
        return EmptyResult()
