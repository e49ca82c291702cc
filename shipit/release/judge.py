"""Whether a fleet is fit: verdicts with reasons, from facts alone."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime, timedelta

from shipit.model import Exposure, FailureKind, Fleet, Mood, Observed, TargetState, Verdict
from shipit.release.goal import Goal
from shipit.release.policy import Policy

INCURABLE = frozenset({FailureKind.QUOTA, FailureKind.CONFIGURATION, FailureKind.PERMISSION})
# A referenced target group whose targets stay `unused` has a configuration error, not a slow start (field notes A4).
UNUSED_GRACE_SECONDS = 60.0
SHOWN_INSTANCES = 3
_SICK = frozenset({TargetState.UNHEALTHY, TargetState.UNUSED, TargetState.UNAVAILABLE})


def wanted_size(goal: Goal, observed: Observed, policy: Policy) -> int:
    """How many instances the goal's fleet needs: as many as the fleets that serve now, or the configured first size."""
    others = [fleet.desired for fleet in observed.serving_fleets() if fleet.name != goal.fleet]
    return max(1, *others) if others else max(1, policy.size)


def needed_healthy(size: int, policy: Policy) -> int:
    """How many of them must be healthy before they are given traffic."""
    return max(1, math.ceil(size * policy.health_percent / 100))


def judge_launch(fleet: Fleet | None, needed: int, since: datetime, now: datetime, policy: Policy) -> Verdict:
    """Whether enough instances are in service, whatever the load balancer thinks of them."""
    if fleet is None:
        return _until_deadline("the Auto Scaling group is not visible yet", since, now, policy)
    text = f"{fleet.in_service} of {needed} instances in service"
    if fleet.in_service >= needed:
        return Verdict(Mood.GOOD, text)
    return _judge_failure(fleet) or _until_deadline(text, since, now, policy)


def judge_health(fleet: Fleet | None, needed: int, since: datetime, now: datetime, policy: Policy) -> Verdict:
    """Whether enough instances are healthy; the reason names the sick ones with AWS's words for it."""
    if fleet is None:
        return Verdict(Mood.BAD, "the fleet is gone")
    counts = f"{fleet.healthy} of {needed} healthy"
    if fleet.healthy >= needed:
        return Verdict(Mood.GOOD, counts)
    text = "; ".join([counts, *_complaints(fleet)])
    if _all_unused(fleet) and now - since > timedelta(seconds=UNUSED_GRACE_SECONDS):
        return Verdict(Mood.BAD, text)
    return _judge_failure(fleet) or _until_deadline(text, since, now, policy)


def judge_canary(goal: Goal, observed: Observed, now: datetime, policy: Policy) -> Verdict:
    """Whether a fleet that already has a share may keep it. BAD when it has lost half of what it needs, when it has been
    short of instances for too long, or when too many of them have ended; NOT_YET while it may still heal itself.
    """
    fleet = observed.fleets.get(goal.fleet or "")
    if fleet is None:
        return Verdict(Mood.BAD, f"fleet {goal.fleet} is gone")
    # Not its own desired size: an instance that it adds while it grows is not a sick one.
    needed = needed_healthy(min(fleet.desired, wanted_size(goal, observed, policy)), policy)
    counts = f"{fleet.healthy} of {needed} healthy"
    lost = observed.lost.get(fleet.name, frozenset())
    if len(lost) > max(1, needed // 2):
        return Verdict(Mood.BAD, f"{len(lost)} of its instances have ended: {_few(sorted(lost))}; {counts}")
    if fleet.healthy >= needed:
        return Verdict(Mood.GOOD, counts)
    text = "; ".join([counts, *_complaints(fleet)])
    short = now - observed.short_since.get(fleet.name, now)
    if 2 * fleet.healthy < needed or short > timedelta(seconds=policy.dip_seconds):
        return Verdict(Mood.BAD, text)
    return Verdict(Mood.NOT_YET, text)


def forsaken(goal: Goal, observed: Observed, policy: Policy) -> str:
    """Why those that share the requests with the goal's fleet must lose them now, in words: they are sick and it is not. Empty
    while they can serve, or it cannot.

    Their share fails over to nobody (field notes A2), and Auto Scaling is about to end their instances.
    """
    fleet = observed.fleets.get(goal.fleet or "")
    if fleet is None or fleet.healthy < needed_healthy(wanted_size(goal, observed, policy), policy):
        return ""
    sick = (f for f in observed.serving_fleets() if f.name != fleet.name and is_sick(f, policy))
    return "; ".join(f"{f.version.name} is sick: {f.healthy} of {f.desired} healthy" for f in sick)


def is_sick(fleet: Fleet, policy: Policy) -> bool:
    """Whether a fleet that serves, or has served, can serve no more: nobody is healthy, or too few and most of its instances are
    known to be unwell. Growing and shrinking by Auto Scaling are no sickness.
    """
    unwell = sum(1 for instance in fleet.instances if instance.leaving or instance.target in _SICK)
    too_few = fleet.healthy < needed_healthy(fleet.desired, policy)
    return not fleet.healthy or (too_few and 2 * unwell > len(fleet.instances))


def may_go_home(home: Fleet, failed: Fleet | None, policy: Policy) -> bool:
    """Whether the fleet that served before is fit enough to take everything back from the one that failed."""
    failed_healthy = failed.healthy if failed else 0
    enough = home.healthy >= min(needed_healthy(home.desired, policy), max(1, failed_healthy))
    return home.healthy > 0 and enough


def _judge_failure(fleet: Fleet) -> Verdict | None:
    """BAD where waiting cannot help: a launch that can never work, or instances that die before they have served."""
    failure = fleet.failure
    if failure and failure.kind in INCURABLE:
        return Verdict(Mood.BAD, f"the launch cannot work ({failure.kind.value}): {failure.message}")
    leaving = [i.id for i in fleet.instances if i.leaving]
    if leaving and fleet.exposure is Exposure.NONE:
        return Verdict(Mood.BAD, f"{' and '.join(leaving)} ended before the fleet was healthy")
    return None


def _until_deadline(text: str, since: datetime, now: datetime, policy: Policy) -> Verdict:
    waited = (now - since).total_seconds()
    if waited < policy.deadline_seconds:
        return Verdict(Mood.NOT_YET, text)
    return Verdict(Mood.BAD, f"{text}, after {waited:.0f} s (health.deadline_seconds: {policy.deadline_seconds:g})")


def _complaints(fleet: Fleet) -> list[str]:
    """`i-0a, i-0b: unhealthy, Target.Timeout (Request timed out)`: one for each reason; the others are counted by state."""
    sick = [i for i in fleet.instances if i.reason and i.target in _SICK]
    by_reason: dict[str, list[str]] = {}
    for instance in sick:
        description = f" ({instance.description})" if instance.description else ""
        by_reason.setdefault(f"{instance.target}, {instance.reason}{description}", []).append(instance.id)
    lines = [f"{_few(ids)}: {reason}" for reason, ids in by_reason.items()]
    counts = Counter(str(i.target or i.lifecycle) for i in fleet.instances if not i.serves and i not in sick)
    lines += [f"{count} {state}" for state, count in sorted(counts.items())]
    return [*lines, f"last launch failed: {fleet.failure.message}"] if fleet.failure else lines


def _few(ids: list[str]) -> str:
    more = len(ids) - SHOWN_INSTANCES
    return ", ".join(ids[:SHOWN_INSTANCES]) + (f" and {more} more" if more > 0 else "")


def _all_unused(fleet: Fleet) -> bool:
    states = [i.target for i in fleet.instances if i.target is not None]
    return bool(states) and all(state is TargetState.UNUSED for state in states)
