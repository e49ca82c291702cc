"""What the lease asks of the record before a write."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shipit.errors import CloudError, Stale
from shipit.lease import Lease
from shipit.standing import LEASE_SECONDS, Aim, Holder
from tests.contract.records import AIM
from tests.fakes.cloud import FakeClock
from tests.fakes.record import FakeRecord


@pytest.fixture
def record() -> FakeRecord:
    return FakeRecord(FakeClock())


@pytest.fixture
def lease(record: FakeRecord) -> Lease:
    now = record.clock.now()
    until = now + timedelta(seconds=LEASE_SECONDS)
    clock = record.clock
    lease = Lease(record, clock.now, clock.sleep, lambda: clock.now().timestamp(), in_background=False)
    lease.take(Holder("one", "release", "v2", "ann", "laptop", "laptop:1:1", now, until), dead=lambda _: False)
    return lease


def written_down(record: FakeRecord) -> Aim | None:
    return record.standing.aim


def test_a_goal_is_written_down_before_the_first_write_for_it(lease: Lease, record: FakeRecord) -> None:
    lease.tell(aim=AIM)
    assert written_down(record) is None
    lease.guard("CreateLaunchTemplate")
    assert written_down(record) == AIM


def test_a_goal_that_cannot_be_written_down_holds_up_one_write_and_forbids_none(
    lease: Lease, record: FakeRecord
) -> None:
    lease.tell(aim=AIM)
    record.fail_next["renew"] = CloudError("no answer")
    lease.guard("CreateLaunchTemplate")
    lease.guard("CreateTargetGroup")
    assert written_down(record) is None, "it was asked once"
    lease.beat()
    assert written_down(record) == AIM


def silent_for(record: FakeRecord, seconds: float) -> None:
    """The record does not answer for so long."""
    record.down = CloudError("no answer")
    end = record.clock.now() + timedelta(seconds=seconds)
    record.clock.on_sleep.append(lambda: setattr(record, "down", None) if record.clock.now() >= end else None)


def test_traffic_that_had_to_wait_for_the_record_is_looked_at_again(lease: Lease, record: FakeRecord) -> None:
    """Somebody who needs no record, a rollback, may have moved it meanwhile."""
    silent_for(record, 20)
    with pytest.raises(Stale, match="ModifyListener was not sent"):
        lease.guard("ModifyListener")
    lease.guard("ModifyListener")


def test_what_shrinks_and_had_to_wait_for_the_record_is_looked_at_again(lease: Lease, record: FakeRecord) -> None:
    silent_for(record, LEASE_SECONDS + 20)
    lease.guard("UpdateAutoScalingGroup")
    record.clock.sleep(LEASE_SECONDS)
    with pytest.raises(Stale, match="UpdateAutoScalingGroup was not sent"):
        lease.guard("UpdateAutoScalingGroup")


def test_a_way_home_asks_a_record_that_does_not_answer_once_and_goes(lease: Lease, record: FakeRecord) -> None:
    lease.tell(aim=replace(AIM, retreat=True))
    record.down = CloudError("no answer")
    lease.beat()
    asked: list[str] = []
    record.renew = lambda *given, **named: asked.append("renew")  # type: ignore[method-assign]
    lease._owes_aim()
    lease.guard("ModifyListener")
    assert asked == []
