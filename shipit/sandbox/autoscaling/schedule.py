"""Scheduled actions: when they are due, and what they do then."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shipit.sandbox.autoscaling import activities, transitions
from shipit.sandbox.autoscaling.cron import parse_cron
from shipit.sandbox.autoscaling.state import Group, ScheduledAction
from shipit.sandbox.autoscaling.world import World


def run_due(world: World, name: str, now: datetime) -> None:
    """Applies the actions whose time came; while ScheduledActions is suspended their time passes unused, as on AWS."""
    with world.lock:
        group = world.groups.get(name)
        if group is None or group.deleting:
            return
        for action in sorted(group.schedules.values(), key=lambda one: one.next_run):
            if action.next_run <= now:
                _run(world, world.groups[name], action, now)


def _run(world: World, group: Group, action: ScheduledAction, now: datetime) -> None:
    later = following(action, now)
    schedules = {name: one for name, one in group.schedules.items() if name != action.name}
    if later:
        schedules[action.name] = replace(action, next_run=later, start=later)
    group = replace(group, schedules=schedules)
    world.put(group)
    if group.runs("ScheduledActions"):
        _apply(world, group, action, now)


def _apply(world: World, group: Group, action: ScheduledAction, now: datetime) -> None:
    sizes = transitions.clamp(group.sizes, action.min, action.max, action.desired)
    sizes = replace(sizes, max=max(sizes.max, sizes.min))
    sizes = replace(sizes, desired=max(sizes.min, min(sizes.max, sizes.desired)))
    change = activities.updated_change(group.sizes, sizes, now, by=f"a scheduled action ({action.name})")
    transitions.set_sizes(world, group, sizes, change)


def following(action: ScheduledAction, now: datetime) -> datetime | None:
    """When a recurring action runs next; None for one-off actions and after its end."""
    if not action.recurrence:
        return None
    found = parse_cron(action.recurrence).next_after(now, action.time_zone)
    return None if found is None or (action.end and found > action.end) else found
