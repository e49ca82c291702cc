"""How many instances, in which zone, and which of them go first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from shipit.sandbox.autoscaling import activities
from shipit.sandbox.autoscaling.moves import Facts, Launch, Move, Retire
from shipit.sandbox.autoscaling.state import Group, Member, Subnet

MAX_LAUNCHING = 16


def resize(group: Group, facts: Facts, retiring: AbstractSet[str]) -> Iterator[Move]:
    """Launches what is missing and retires what is too much; members that leave count no more."""
    present = [member for member in group.members if not member.leaving and member.key not in retiring]
    missing = group.sizes.desired - len(present)
    if missing > 0 and group.runs("Launch") and not group.deleting:
        yield from _grow(group, present, facts)
    elif missing < 0 and group.runs("Terminate"):
        yield from _shrink(group, present, facts)


def _grow(group: Group, present: Sequence[Member], facts: Facts) -> Iterator[Move]:
    if group.retry.until and facts.now < group.retry.until:
        return
    launching = sum(member.instance_id is None for member in present)
    # After a failure one launch probes whether the next would fail too, as AWS slows down: not a burst of failures.
    room = (1 if group.retry.failures else MAX_LAUNCHING) - launching
    actual, target = len(present), group.sizes.desired
    for subnet in _places(group, present, min(target - actual, room)):
        yield Launch(subnet, activities.grow_cause(group, actual, target, facts.now))


def _places(group: Group, present: Sequence[Member], count: int) -> Iterator[Subnet]:
    """Subnets for new members: where launches did not fail, then the emptiest zone, then the emptiest subnet."""
    zones = Counter(member.subnet.zone for member in present)
    subnets = Counter(member.subnet.id for member in present)
    for _ in range(count):
        best = min(group.subnets, key=lambda s: (s.id in group.retry.subnets, zones[s.zone], subnets[s.id]))
        zones[best.zone] += 1
        subnets[best.id] += 1
        yield best


def _shrink(group: Group, present: Sequence[Member], facts: Facts) -> Iterator[Move]:
    actual, target = len(present), group.sizes.desired
    cause = activities.shrink_cause(group, actual, target, facts.now)
    for member in victims(group, present, actual - target):
        text = activities.selected(cause, member.instance_id or "", facts.now)
        yield Retire(member.key, text, failure="The launch was cancelled by a scale-in.")


def victims(group: Group, present: Sequence[Member], count: int) -> list[Member]:
    """Members to end, at most `count`: from the fullest zone, by the termination policies, never a protected one.

    Members that EC2 did not answer for yet cannot be chosen; they come later.
    """
    left = list(present)
    chosen: list[Member] = []
    while len(chosen) < count:
        eligible = [member for member in left if member.instance_id and not member.protected]
        if not eligible:
            break
        chosen.append(_first_to_go(group, left, eligible))
        left.remove(chosen[-1])
    return chosen


def _first_to_go(group: Group, left: Sequence[Member], eligible: Sequence[Member]) -> Member:
    zones = Counter(member.subnet.zone for member in left)
    fullest = max(zones[member.subnet.zone] for member in eligible)
    pool = [member for member in eligible if zones[member.subnet.zone] == fullest]
    for rank in [_serves, *_ranks(group)]:
        best = min(rank(member) for member in pool)
        pool = [member for member in pool if rank(member) == best]
    return pool[0]


def _serves(member: Member) -> float:
    """A member that never served goes before one that does: the least harm."""
    return float(member.state == "InService" and member.health == "Healthy")


def _ranks(group: Group) -> list[Callable[[Member], float]]:
    ranks: list[Callable[[Member], float]] = []
    for policy in group.settings.get("TerminationPolicies") or ["Default"]:
        ranks.extend(_POLICIES.get(str(policy), []))
    return [*ranks, _age]


def _version(member: Member) -> float:
    return member.template.version_number if member.template else 0.0


def _age(member: Member) -> float:
    return member.started.timestamp()


def _youth(member: Member) -> float:
    return -member.started.timestamp()


def _to_next_hour(member: Member) -> float:
    return 3600 - member.started.timestamp() % 3600


_POLICIES: Mapping[str, Sequence[Callable[[Member], float]]] = {
    "Default": [_version],
    "OldestLaunchTemplate": [_version],
    "OldestInstance": [_age],
    "NewestInstance": [_youth],
    "ClosestToNextInstanceHour": [_to_next_hour],
}
