"""Where a record is kept: in memory, in moto, in the sandbox; several terminals may open the same one.

`import` the fixtures that a module needs. Each test has its own table and its own clock.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from moto import mock_aws

from shipit.aws.record import DynamoRecord
from shipit.aws.session import Session
from shipit.model import Version
from shipit.ports import Record
from shipit.standing import LEASE_SECONDS, Aim, Freeze, Holder, Orders, Written
from tests.contract.clouds import Cloud, Wire, sandbox_cloud
from tests.fakes.cloud import START, FakeClock
from tests.fakes.record import FakeRecord

KEY: dict[str, Any] = {"pk": {"S": "hello/production"}, "sk": {"S": "state"}}
AIM = Aim(Version("v2", "c" * 40), "hello-v2", "ami-2", "d1", "5% 30s, 100%", "hello-v1", retire_parked=True)
FREEZE = Freeze("black friday", "ann", START)
PAUSE = Orders(paused=True, by="bob")
WRITTEN = Written({"hello-v1": 95, "hello-v2": 5}, START, {"hello-v2": 100})
LATER = START + timedelta(minutes=5)


@dataclass
class Shelf:
    """One record, and how to open it. `cloud` None is memory."""

    cloud: Cloud | None
    clock: FakeClock = field(default_factory=FakeClock)
    table: str = field(default_factory=lambda: f"shipit-{uuid.uuid4().hex[:8]}")

    def __post_init__(self) -> None:
        self._memory = FakeRecord(self.clock)

    def open(self) -> Record:
        """The record, as another terminal sees it."""
        if self.cloud is None:
            return self._memory
        return DynamoRecord(self.cloud.session, self.clock, self.table, "hello", "production")

    @property
    def dynamo(self) -> Any:
        assert self.cloud
        return self.cloud.client("dynamodb")

    def mend(self, **attributes: dict[str, str]) -> None:
        """Somebody changes the item by hand."""
        item = self.dynamo.get_item(TableName=self.table, Key=KEY).get("Item", KEY)
        self.dynamo.put_item(TableName=self.table, Item={**item, **attributes})

    def holder(self, name: str = "ann", **changes: Any) -> Holder:
        """Who would take the lease now, for as long as one lasts."""
        now = self.clock.now()
        until = now + timedelta(seconds=LEASE_SECONDS)
        made = Holder(f"id-{name}", "release", "v2", name, "laptop", f"laptop:{name}:1", now, until)
        return replace(made, **changes)

    def taken_by(self, name: str = "ann") -> Holder:
        """The holder with its fence, after it took the lease."""
        holder = self.open().take(self.holder(name), dead=nobody_is).holder
        assert holder
        return holder


def nobody_is(_: Holder) -> bool:
    return False


def all_are(_: Holder) -> bool:
    return True


def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto's tables have no lock of their own; in DynamoDB a conditional write is atomic."""
    from moto.dynamodb.models import DynamoDBBackend

    lock, write = threading.Lock(), DynamoDBBackend.update_item

    def update_item(*args: Any, **named: Any) -> Any:
        with lock:
            return write(*args, **named)

    monkeypatch.setattr(DynamoDBBackend, "update_item", update_item)


def _cloud(request: pytest.FixtureRequest) -> Iterator[Cloud | None]:
    if request.param == "moto":
        with mock_aws():
            yield Cloud("moto", Session("eu-west-1", None, **MOTO_KEYS), "", [], "", "")
    else:
        yield sandbox_cloud(request.getfixturevalue("sandbox")) if request.param == "sandbox" else None


MOTO_KEYS = {"aws_access_key_id": "moto", "aws_secret_access_key": "moto"}
SANDBOX = pytest.param("sandbox", marks=pytest.mark.sandbox)


@pytest.fixture(scope="module", params=["fake", "moto", SANDBOX])
def anywhere(request: pytest.FixtureRequest) -> Iterator[Cloud | None]:
    yield from _cloud(request)


@pytest.fixture(scope="module", params=["moto", SANDBOX])
def online(request: pytest.FixtureRequest) -> Iterator[Cloud | None]:
    yield from _cloud(request)


@pytest.fixture
def shelf(anywhere: Cloud | None) -> Shelf:
    """A record that nothing was written to yet."""
    return Shelf(anywhere)


@pytest.fixture
def stored(online: Cloud) -> Shelf:
    """The same, where there are tables and a wire to them."""
    return Shelf(online)


@pytest.fixture
def wire(online: Cloud) -> Iterator[Wire]:
    made = Wire(online.session)
    yield made
    made.mend()
