"""Lifecycle hooks, and the answers that instances wait for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from moto.core.responses import ActionResult, EmptyResult

from shipit.sandbox.autoscaling import errors, validation
from shipit.sandbox.autoscaling.state import ABANDON, CONTINUE, LAUNCHING, Group, Hook, Member, Wait
from shipit.sandbox.autoscaling.wire import Api, chosen


class HooksApi(Api):
    def put_lifecycle_hook(self) -> ActionResult:
        asked = self._asked
        group = self._world.writable(asked["AutoScalingGroupName"])
        hook = validation.hook(asked, group.hooks.get(asked["LifecycleHookName"]))
        self._world.put(replace(group, hooks={**group.hooks, hook.name: hook}))
        return EmptyResult()

    def describe_lifecycle_hooks(self) -> ActionResult:
        asked = self._asked
        group = self._world.group(asked["AutoScalingGroupName"])
        shapes = [
            {
                **hook.settings,
                "LifecycleHookName": hook.name,
                "AutoScalingGroupName": group.name,
                "LifecycleTransition": hook.transition,
                "HeartbeatTimeout": hook.timeout_seconds,
                "GlobalTimeout": hook.global_timeout_seconds,
                "DefaultResult": hook.default_result,
            }
            for hook in chosen(group.hooks, asked.get("LifecycleHookNames"))
        ]
        return ActionResult({"LifecycleHooks": shapes})

    def delete_lifecycle_hook(self) -> ActionResult:
        """Outstanding actions are completed first: ABANDON for launches, CONTINUE for terminations (API page)."""
        asked = self._asked
        group = self._world.writable(asked["AutoScalingGroupName"])
        hook = group.hooks.get(asked["LifecycleHookName"])
        if hook is None:
            raise errors.invalid("No Lifecycle Hook found")
        result = ABANDON if hook.transition == LAUNCHING else CONTINUE
        members = tuple(_answered(member, hook, result) for member in group.members)
        hooks = {name: one for name, one in group.hooks.items() if name != hook.name}
        self._world.put(replace(group, members=members, hooks=hooks))
        return EmptyResult()

    def complete_lifecycle_action(self) -> ActionResult:
        result = self._asked["LifecycleActionResult"]
        if result not in (CONTINUE, ABANDON):
            raise errors.invalid(f"The lifecycle action result {result} is invalid: it must be CONTINUE or ABANDON.")
        return self._answer(lambda wait: replace(wait, result=result))

    def record_lifecycle_action_heartbeat(self) -> ActionResult:
        now = self._now
        return self._answer(
            lambda wait: replace(wait, deadline=now + timedelta(seconds=wait.hook.timeout_seconds)),
        )

    def _answer(self, change: Callable[[Wait], Wait]) -> ActionResult:
        asked = self._asked
        group = self._world.group(asked["AutoScalingGroupName"])
        member, wait = self._open_action(group)
        waits = tuple(change(one) if one.token == wait.token else one for one in member.waits or ())
        self._world.put(group.with_member(replace(member, waits=waits)))
        return EmptyResult()

    def _open_action(self, group: Group) -> tuple[Member, Wait]:
        name, token, instance_id = (
            self._asked.get(key) for key in ("LifecycleHookName", "LifecycleActionToken", "InstanceId")
        )
        for member in group.members:
            for wait in member.waits or ():
                mine = wait.token == token if token else member.instance_id == instance_id
                if mine and wait.hook.name == name and wait.result is None and member.state.endswith(":Wait"):
                    return member, wait
        which = f"token {token}" if token else f"instance ID {instance_id}"
        raise errors.invalid(f"No active Lifecycle Action found with {which}")

    def describe_lifecycle_hook_types(self) -> ActionResult:
        types = ["autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING"]
        return ActionResult({"LifecycleHookTypes": types})


def _answered(member: Member, hook: Hook, result: str) -> Member:
    if member.waits is None:
        return member
    waits = tuple(
        replace(one, result=one.result or result) if one.hook.name == hook.name else one for one in member.waits
    )
    return replace(member, waits=waits)
