"""Changes of state that both the API and the loop make. All run under the world's lock and call nobody."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from shipit.sandbox.autoscaling import activities
from shipit.sandbox.autoscaling.moves import Launch, Retire
from shipit.sandbox.autoscaling.state import LAUNCHING, Group, Member, Retry, Sizes, Wait
from shipit.sandbox.autoscaling.world import World


def set_sizes(world: World, group: Group, sizes: Sizes, change: str) -> None:
    """Sets the sizes; `change` words the reason and is kept until instances were launched or ended for it."""
    kept = change if sizes.desired != group.sizes.desired else group.change
    world.put(replace(group, sizes=sizes, change=kept))


def clamp(sizes: Sizes, low: int | None, high: int | None, desired: int | None) -> Sizes:
    """New sizes: those given, the rest kept, and the desired capacity moved into the bounds when it was not given."""
    low = sizes.min if low is None else low
    high = sizes.max if high is None else high
    return Sizes(low, high, max(low, min(high, sizes.desired)) if desired is None else desired)


def begin_launch(world: World, group: Group, move: Launch, now: datetime) -> Member:
    activity = activities.launch_activity(group, move.subnet, move.cause, now)
    world.open(activity)
    protected = bool(group.settings.get("NewInstancesProtectedFromScaleIn"))
    member = Member(str(uuid4()), move.subnet, now, activity.id, protected=protected)
    replacing = max(0, group.replacing - 1)
    world.put(replace(group, members=(*group.members, member), replacing=replacing))
    return member


def launch_failed(world: World, name: str, key: str, message: str, now: datetime, retry_until: datetime) -> None:
    """Ends the launch with the reason and holds further ones back until `retry_until`."""
    with world.lock:
        group = world.groups[name]
        member = group.member(key)
        if member:
            world.close(member.activity_id, "Failed", now, activities.failure_message(message))
            world.put(replace(group.without_member(key), retry=_retry(group, member, now, retry_until)))


def _retry(group: Group, member: Member, now: datetime, until: datetime) -> Retry:
    """One more failure, unless it belongs to the same round; once every subnet failed, all are equal again."""
    old = group.retry
    failed = old.subnets | {member.subnet.id}
    if failed >= {subnet.id for subnet in group.subnets}:
        failed = frozenset()
    same_round = old.until is not None and now < old.until
    return replace(old, subnets=failed) if same_round else Retry(old.failures + 1, until, failed)


def begin_leaving(world: World, group: Group, member: Member, move: Retire, now: datetime) -> str:
    """Takes a member out of service and returns the id of the activity for it."""
    if member.leaving:
        return member.activity_id
    if member.state != "InService":
        failed = move.failure or "The launch was cancelled."
        world.close(member.activity_id, "Failed" if move.replaced else "Cancelled", now, failed)
    activity = activities.terminate_activity(group, member.subnet, member.instance_id or "", move.cause, now)
    world.open(activity)
    leaving = replace(member, state="Terminating", waits=None, activity_id=activity.id)
    world.put(replace(group.with_member(leaving), replacing=group.replacing + int(move.replaced)))
    return activity.id


def hold(group: Group, member: Member, transition: str, now: datetime) -> Member:
    """The member, waiting for its hooks; unchanged when it was told to leave meanwhile."""
    if transition == LAUNCHING and member.leaving:
        return member
    waits = tuple(
        Wait(
            hook,
            token=str(uuid4()),
            deadline=now + timedelta(seconds=hook.timeout_seconds),
            ends=now + timedelta(seconds=hook.global_timeout_seconds),
        )
        for hook in group.hooks_at(transition)
    )
    state = "Pending:Wait" if transition == LAUNCHING else "Terminating:Wait"
    return replace(member, state=state, waits=waits)
