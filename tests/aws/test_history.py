"""History, on moto and on the sandbox: history in order, for one app and environment, whatever state the table is in."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest

from shipit.aws.record import DynamoRecord
from shipit.errors import CloudError
from shipit.events import Ended, Note, to_json
from shipit.model import Ending
from shipit.ports import Record
from shipit.standing import Freeze
from tests.contract.clouds import Cloud, Wire, cloud
from tests.fakes.cloud import START, FakeClock
from tests.sandbox.conftest import sandbox

__all__ = ["cloud", "sandbox"]


@pytest.fixture
def table() -> str:
    return f"shipit-{uuid.uuid4().hex[:8]}"


def record_of(cloud: Cloud, table: str, app: str = "hello", env: str = "production") -> DynamoRecord:
    return DynamoRecord(cloud.session, FakeClock(), table, app, env)


def ended(version: str, at: datetime = START) -> Ended:
    return Ended(at=at, command="release", ending=Ending.SUCCEEDED, version=version, serving={version: 100.0})


def versions(record: Record, limit: int = 20) -> list[str]:
    return [event.version for event in record.history(limit) if isinstance(event, Ended)]


def test_before_the_first_release_there_is_no_history_and_no_table(cloud: Cloud, table: str) -> None:
    assert versions(record_of(cloud, table)) == []
    assert table not in cloud.client("dynamodb").list_tables()["TableNames"]


def test_the_table_is_made_by_the_first_write(cloud: Cloud, table: str) -> None:
    record_of(cloud, table).append(ended("v1"))
    assert versions(record_of(cloud, table)) == ["v1"]
    described = cloud.client("dynamodb").describe_table(TableName=table)["Table"]
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


def test_what_is_read_is_what_was_written(cloud: Cloud, table: str) -> None:
    event = ended("v1")
    record_of(cloud, table).append(event)
    assert list(record_of(cloud, table).history(1)) == [event]


def test_history_comes_newest_first_and_no_longer_than_asked_for(cloud: Cloud, table: str) -> None:
    record = record_of(cloud, table)
    for minutes in (3, 1, 2, 10):
        record.append(ended(f"v{minutes}", START + timedelta(minutes=minutes)))
    assert versions(record) == ["v10", "v3", "v2", "v1"]
    assert versions(record, 2) == ["v10", "v3"]


def test_two_endings_in_the_same_millisecond_are_both_kept(cloud: Cloud, table: str) -> None:
    record = record_of(cloud, table)
    record.append(ended("v1"))
    record.append(ended("v1"))
    assert versions(record) == ["v1", "v1"]


@pytest.mark.parametrize(("app", "env"), [("other", "production"), ("hello", "staging"), ("hello/production", "x")])
def test_what_others_did_is_not_shown(cloud: Cloud, table: str, app: str, env: str) -> None:
    record_of(cloud, table).append(ended("v1"))
    record_of(cloud, table, app, env).append(ended("theirs"))
    assert versions(record_of(cloud, table)) == ["v1"]


def test_two_first_releases_at_once_make_one_table(cloud: Cloud, table: str) -> None:
    wire, other = Wire(cloud.session), record_of(cloud, table, "other")
    wire.before("dynamodb", "CreateTable", lambda: other.append(ended("theirs")))
    record_of(cloud, table).append(ended("v1"))
    wire.mend()
    assert versions(record_of(cloud, table)) == ["v1"]
    assert versions(other) == ["theirs"]


def test_without_permission_to_make_the_table_it_says_so(cloud: Cloud, table: str) -> None:
    wire = Wire(cloud.session)
    wire.fail_before("dynamodb", "CreateTable", "AccessDeniedException")
    with pytest.raises(CloudError) as raised:
        record_of(cloud, table).append(ended("v1"))
    wire.mend()
    assert "AccessDeniedException" in raised.value.why
    assert raised.value.next


def test_an_item_that_a_later_shipit_wrote_does_not_hide_the_others(cloud: Cloud, table: str) -> None:
    record = record_of(cloud, table)
    record.append(ended("v1"))
    key: dict[str, Any] = {"pk": {"S": "hello/production"}, "sk": {"S": "event#2027-01-01T00:00:00.000+00:00#x"}}
    cloud.client("dynamodb").put_item(TableName=table, Item={**key, "event": {"S": '{"kind": "comet"}'}})
    assert versions(record) == ["v1"]


def test_what_cannot_be_read_does_not_use_up_the_limit(cloud: Cloud, table: str) -> None:
    record = record_of(cloud, table)
    for minutes in range(3):
        record.append(ended(f"v{minutes}", START + timedelta(minutes=minutes)))
    for number, event in enumerate(['{"kind": "comet"}', "?", to_json(Note(at=START, text="no history"))]):
        key: dict[str, Any] = {"pk": {"S": "hello/production"}, "sk": {"S": f"event#2027-01-0{number + 1}#x"}}
        cloud.client("dynamodb").put_item(TableName=table, Item={**key, "event": {"S": event}})
    assert versions(record, 2) == ["v2", "v1"]
    assert versions(record, 9) == ["v2", "v1", "v0"]


def test_what_stands_now_is_no_event(cloud: Cloud, table: str) -> None:
    record = record_of(cloud, table)
    record.freeze(Freeze("black friday", "ann", START))
    record.append(ended("v1"))
    assert len(record.history(9)) == 1
