"""What the lease asks of the record before a write."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shipit.errors import CloudError
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
    lease = Lease(record, record.clock.now, lambda: record.clock.now().timestamp(), in_background=False)
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
