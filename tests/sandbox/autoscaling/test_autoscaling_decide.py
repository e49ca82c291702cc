"""Deciding is arithmetic on values: no server, no threads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.sandbox.autoscaling.capacity import victims
from shipit.sandbox.autoscaling.decide import decide
from shipit.sandbox.autoscaling.moves import Deregister, Enter, Facts, Forget, Launch, Remove, Retire, Terminate
from shipit.sandbox.autoscaling.seams import TemplateFacts
from shipit.sandbox.autoscaling.state import Attachment, Group, Member, Retry, Sizes, Subnet

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SUBNETS = tuple(Subnet(f"subnet-{letter}", f"zone-{letter}") for letter in "abc")


def member(number: int, *, zone: int = 0, version: int = 1, age: float = 60, state: str = "InService") -> Member:
    return Member(
        key=str(number),
        subnet=SUBNETS[zone],
        started=NOW - timedelta(seconds=age),
        activity_id="",
        instance_id=f"i-{number}",
        template=TemplateFacts("lt-1", "web", version),
        state=state,
    )


def group(members: Sequence[Member] = (), desired: int = 0, **changes: object) -> Group:
    base = Group("web", "arn", NOW, Sizes(0, 100, desired), SUBNETS, members=tuple(members))
    return replace(base, **changes)  # type: ignore[arg-type]


def running(members: Sequence[Member], **states: str) -> Facts:
    return Facts(NOW, {one.instance_id or "": states.get(f"i{one.key}", "running") for one in members})


def test_a_group_that_is_as_wanted_needs_nothing() -> None:
    members = [member(1), member(2, zone=1)]
    assert decide(group(members, desired=2), running(members)) == []


def test_nothing_is_decided_on_instances_that_were_not_looked_at() -> None:
    members = [member(1), replace(member(2), state="Terminating"), member(3, state="Pending")]
    assert decide(group(members, desired=2), Facts(NOW)) == []


def test_a_running_instance_enters_with_all_target_groups_that_exist() -> None:
    members = [member(1, state="Pending")]
    attachments = (Attachment("tg-1"), Attachment("tg-2"), Attachment("tg-3", state="Removing"))
    facts = replace(running(members), missing_targets=frozenset({"tg-2"}))
    assert Enter("1", ("tg-1",)) in decide(group(members, 1, attachments=attachments), facts)


def test_leaving_goes_one_step_at_a_time() -> None:
    leaving = replace(member(1), state="Terminating", registered=frozenset({"tg-1"}))
    assert decide(group([leaving]), running([leaving])) == [Deregister("1", frozenset({"tg-1"}))]

    draining = replace(leaving, registered=frozenset(), draining=frozenset({"tg-1"}))
    facts = running([draining])
    assert decide(group([draining]), replace(facts, health={"tg-1": {"i-1": "draining"}})) == []
    assert decide(group([draining]), replace(facts, health={"tg-1": {}})) == [Terminate("1")]

    asked = replace(draining, ended=NOW)
    assert decide(group([asked]), facts) == []
    assert decide(group([asked]), running([asked], i1="terminated")) == [Forget("1")]
    assert decide(group([asked]), replace(facts, now=NOW + timedelta(seconds=61))) == [Terminate("1")]


def test_an_instance_that_is_down_has_nothing_to_drain() -> None:
    gone = replace(member(1), state="Terminating", draining=frozenset({"tg-1"}))
    facts = replace(running([gone], i1="stopped"), health={"tg-1": {"i-1": "draining"}})
    assert decide(group([gone]), facts) == [Terminate("1")]


def test_after_a_failure_launches_pause_and_then_one_tries() -> None:
    failed = Retry(failures=1, until=NOW + timedelta(seconds=1), subnets=frozenset({"subnet-a"}))
    waiting = group([], desired=5, retry=failed)
    assert decide(waiting, Facts(NOW)) == []
    [probe] = decide(waiting, Facts(NOW + timedelta(seconds=2)))
    assert isinstance(probe, Launch)
    assert probe.subnet == SUBNETS[1]


def test_a_deleted_group_is_removed_when_it_is_empty() -> None:
    assert decide(group([], deleting=True), Facts(NOW)) == [Remove()]


def test_an_unhealthy_member_is_replaced_in_one_decision() -> None:
    sick = replace(member(1), health="Unhealthy", unhealthy_cause="a test")
    retire, launch = decide(group([sick], desired=1), running([sick]))
    assert isinstance(retire, Retire)
    assert isinstance(launch, Launch)
    assert "unhealthy instance needing to be replaced" in launch.cause


@pytest.mark.parametrize(
    ("policies", "first"),
    [
        (["Default"], "2"),
        (["OldestInstance"], "3"),
        (["NewestInstance"], "4"),
        (["OldestLaunchTemplate", "OldestInstance"], "2"),
    ],
)
def test_termination_policies_choose_within_the_fullest_zone(policies: list[str], first: str) -> None:
    members = [
        member(1, zone=1, version=1, age=9000),
        member(2, version=1, age=100),
        member(3, version=2, age=500),
        member(4, version=2, age=50),
    ]
    chosen = victims(group(members, settings={"TerminationPolicies": policies}), members, 1)
    assert [one.key for one in chosen] == [first]


def test_a_member_that_never_served_goes_first() -> None:
    members = [member(1, age=900), member(2, state="Pending", age=1)]
    assert [one.key for one in victims(group(members), members, 1)] == ["2"]


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=12), st.integers(0, 12))
def test_scale_in_never_takes_a_protected_member_and_takes_no_more_than_asked(
    kinds: list[tuple[int, bool]], count: int
) -> None:
    members = [
        replace(member(number, zone=zone), protected=protected) for number, (zone, protected) in enumerate(kinds)
    ]
    chosen = victims(group(members), members, count)
    assert not any(one.protected for one in chosen)
    assert len({one.key for one in chosen}) == len(chosen) == min(count, sum(not one.protected for one in members))


@given(st.lists(st.integers(0, 2), max_size=12), st.integers(0, 16))
def test_scale_out_levels_the_zones(zones: list[int], more: int) -> None:
    members = [member(number, zone=zone) for number, zone in enumerate(zones)]
    moves = decide(group(members, desired=len(members) + more), running(members))
    after = Counter({subnet.zone: 0 for subnet in SUBNETS}) + Counter(one.subnet.zone for one in members)
    before = max(after.values(), default=0)
    after.update(move.subnet.zone for move in moves if isinstance(move, Launch))
    assert sum(after.values()) == len(members) + more
    assert max(after.values(), default=0) <= max(before, -(-(len(members) + more) // 3))
