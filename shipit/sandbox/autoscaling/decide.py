"""What to do next for a group: a pure function of what is wanted and what was seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from shipit.sandbox.autoscaling import activities
from shipit.sandbox.autoscaling.capacity import resize
from shipit.sandbox.autoscaling.moves import (
    Deregister,
    Enter,
    Facts,
    Forget,
    Hold,
    MarkUnhealthy,
    Move,
    Proceed,
    Reattach,
    Register,
    Remove,
    Retire,
    Terminate,
)
from shipit.sandbox.autoscaling.state import ABANDON, LAUNCHING, TERMINATING, Group, Member

ALIVE = {"pending", "running"}
ASK_AGAIN_AFTER = timedelta(seconds=60)


def decide(group: Group, facts: Facts) -> list[Move]:
    """Moves for now; repeated until the group is what it should be. Members step one state at a time."""
    if group.deleting and not group.members:
        return [Remove()]
    moves = [move for member in group.members for move in _step(group, member, facts)]
    retiring = [move for move in moves if isinstance(move, Retire)]
    after = replace(group, replacing=group.replacing + sum(move.replaced for move in retiring))
    return [*moves, *_attachments(group, facts), *resize(after, facts, {move.key for move in retiring})]


def _step(group: Group, member: Member, facts: Facts) -> Iterator[Move]:
    seen = facts.instances.get(member.instance_id) if member.instance_id else None
    if seen is None:
        return
    if member.leaving:
        yield from _leave(group, member, facts, seen)
    elif group.forced:
        yield Retire(member.key, activities.deleted_cause(facts.now), failure="The group was deleted.")
    elif member.state == "InService":
        yield from _judge(group, member, facts, seen)
    else:
        yield from _join(group, member, facts, seen)


def _join(group: Group, member: Member, facts: Facts, seen: str) -> Iterator[Move]:
    if seen not in ALIVE:
        reason = activities.DIED_PENDING.format(reason="Client.UserInitiatedShutdown: User initiated shutdown")
        cause = activities.unhealthy_cause(activities.EC2_UNHEALTHY, facts.now)
        yield Retire(member.key, cause, replaced=True, failure=reason)
    elif seen == "running" and member.state == "Pending" and member.waits is None and group.hooks_at(LAUNCHING):
        yield Hold(member.key, LAUNCHING)
    elif member.state == "Pending:Wait":
        yield from _await_launch_hooks(member, facts)
    elif seen == "running":
        yield _enter(group, member, facts)


def _await_launch_hooks(member: Member, facts: Facts) -> Iterator[Move]:
    result = _hook_result(member, facts)
    if result == ABANDON:
        token = next(wait.token for wait in member.waits or () if wait.result_at(facts.now) == ABANDON)
        cause = activities.unhealthy_cause("the abandonment of its lifecycle action", facts.now)
        yield Retire(member.key, cause, replaced=True, failure=activities.ABANDONED.format(token=token))
    elif result:
        yield Proceed(member.key)


def _enter(group: Group, member: Member, facts: Facts) -> Move:
    arns = tuple(one.arn for one in group.attachments if one.state != "Removing")
    if not group.runs("AddToLoadBalancer"):
        return Enter(member.key, (), frozenset(arns))
    return Enter(member.key, tuple(arn for arn in arns if arn not in facts.missing_targets))


def _judge(group: Group, member: Member, facts: Facts, seen: str) -> Iterator[Move]:
    if member.health == "Unhealthy":
        if group.runs("ReplaceUnhealthy") and group.runs("Terminate"):
            yield Retire(member.key, activities.unhealthy_cause(member.unhealthy_cause, facts.now), replaced=True)
    elif group.runs("HealthCheck"):
        if seen not in ALIVE:
            yield MarkUnhealthy(member.key, activities.EC2_UNHEALTHY)
        elif group.checks_elb and not in_grace(group, member, facts) and _fails_elb(group, member, facts):
            yield MarkUnhealthy(member.key, activities.ELB_UNHEALTHY)


def in_grace(group: Group, member: Member, facts: Facts) -> bool:
    since = member.in_service_since
    return since is not None and facts.now < since + timedelta(seconds=group.grace_seconds)


def _fails_elb(group: Group, member: Member, facts: Facts) -> bool:
    """Unhealthy in any target group that had a healthy member once: before that ELB health replaces nothing (B2)."""
    judged = {one.arn for one in group.attachments if one.state == "InService"} & member.registered
    return any(facts.health.get(arn, {}).get(member.instance_id or "") == "unhealthy" for arn in judged)


def _leave(group: Group, member: Member, facts: Facts, seen: str) -> Iterator[Move]:
    if member.registered:
        yield Deregister(member.key, member.registered)
    if seen == "terminated":
        yield Forget(member.key)
    elif not member.registered and not _held_back(group, member, facts, seen):
        yield from _end(group, member, facts, seen)


def _held_back(group: Group, member: Member, facts: Facts, seen: str) -> bool:
    """Whether requests or hooks keep it; one that is down has neither, and a forced deletion asks for neither."""
    if group.forced or seen not in ALIVE:
        return False
    drains = any(member.instance_id in facts.health.get(arn, {}) for arn in member.draining)
    return drains or (member.state == "Terminating:Wait" and _hook_result(member, facts) is None)


def _end(group: Group, member: Member, facts: Facts, seen: str) -> Iterator[Move]:
    hooked = seen in ALIVE and not group.forced
    if hooked and member.waits is None and group.hooks_at(TERMINATING):
        yield Hold(member.key, TERMINATING)
    elif hooked and member.state == "Terminating:Wait":
        yield Proceed(member.key)
    elif member.ended is None or facts.now >= member.ended + ASK_AGAIN_AFTER:
        yield Terminate(member.key)


def _hook_result(member: Member, facts: Facts) -> str | None:
    """ABANDON as soon as one hook says so, CONTINUE when all do, None while one is open."""
    results = [wait.result_at(facts.now) for wait in member.waits or ()]
    if ABANDON in results:
        return ABANDON
    return None if None in results else "CONTINUE"


def _attachments(group: Group, facts: Facts) -> Iterator[Move]:
    serving = [member for member in group.members if member.state == "InService"]
    for one in group.attachments:
        if one.state == "Removing":
            yield from _detach(group, one.arn, facts)
        elif one.arn not in facts.missing_targets:
            outside = [member for member in serving if one.arn not in member.registered | member.exempt]
            exempt = not group.runs("AddToLoadBalancer")
            yield from (Register(member.key, one.arn, exempt) for member in outside)
            if one.state == "Adding" and not outside:
                yield Reattach(one.arn, "Added")
            elif one.state == "Added" and _passed_once(serving, one.arn, facts):
                yield Reattach(one.arn, "InService")


def _passed_once(serving: list[Member], arn: str, facts: Facts) -> bool:
    return any(facts.health.get(arn, {}).get(member.instance_id or "") == "healthy" for member in serving)


def _detach(group: Group, arn: str, facts: Facts) -> Iterator[Move]:
    inside = [member for member in group.members if arn in member.registered]
    yield from (Deregister(member.key, frozenset({arn})) for member in inside)
    draining = [m for m in group.members if arn in m.draining and m.instance_id in facts.health.get(arn, {})]
    if not inside and not draining:
        yield Reattach(arn, None)
