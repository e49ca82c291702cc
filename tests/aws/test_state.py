"""The item as it is stored: whose it is, what is passed over, and what cannot be read."""

from __future__ import annotations

import pytest

from shipit.aws.record import DynamoRecord
from shipit.errors import Refused
from shipit.standing import Orders, Standing
from tests.contract.records import KEY, PAUSE, Shelf, nobody_is, online, stored
from tests.fakes.cloud import START
from tests.sandbox.conftest import sandbox

__all__ = ["online", "sandbox", "stored"]


def test_other_apps_and_environments_have_leases_of_their_own(stored: Shelf) -> None:
    stored.taken_by("ann")
    assert stored.cloud
    for app, env in (("other", "production"), ("hello", "staging")):
        other = DynamoRecord(stored.cloud.session, stored.clock, stored.table, app, env)
        assert other.take(stored.holder("bob"), dead=nobody_is).fence == 1


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("fence", {"S": "one"}),
        ("fence", {"N": "1.5"}),
        ("orders_fence", {"S": "x"}),
        ("owner", {"N": "1"}),
        ("holder", {"S": "{"}),
        ("holder", {"S": "{}"}),
        ("holder", {"N": "1"}),
        ("aim", {"S": "[]"}),
        ("aim", {"S": "null"}),
        ("aim", {"S": '{"command": "release", "version": "v1", "fleet": "f"}'}),
        ("aim", {"S": '{"command": "release", "version": {"name": "v1"}, "fleet": "f", "staged": 1}'}),
        ("orders", {"S": '{"share": "1/0"}'}),
        ("orders", {"S": '{"share": 5}'}),
        ("written", {"S": '{"weights": {"f": "5"}}'}),
        ("written", {"S": '{"weights": {"f": true}}'}),
        ("written", {"S": '{"at": "2026-01-01T00:00:00"}'}),
        ("written", {"S": "[" * 100_000}),
        ("freeze", {"S": '{"reason": "x", "who": "ann", "at": "yesterday"}'}),
        ("freeze", {"S": '{"reason": null, "who": "ann", "at": "2026-01-01T00:00:00Z"}'}),
    ],
    ids=lambda value: next(iter(value.values()))[:40] if isinstance(value, dict) else value,
)
def test_an_item_that_cannot_be_read_is_refused_and_named(stored: Shelf, attribute: str, value: dict[str, str]) -> None:
    stored.open().order(PAUSE, stored.taken_by().fence)
    stored.mend(**{attribute: value})
    with pytest.raises(Refused) as raised:
        stored.open().read()
    assert raised.value.what == "the record of hello/production cannot be read"
    assert raised.value.why.startswith(attribute if attribute != "owner" else "holder")
    assert f"--table-name {stored.table} --key " in raised.value.next


def test_a_freeze_that_cannot_be_read_can_still_be_lifted(stored: Shelf) -> None:
    stored.taken_by()
    stored.mend(freeze={"S": "?"})
    assert stored.open().unfreeze()
    assert stored.open().read().fence == 1


def test_what_a_later_shipit_added_is_passed_over(stored: Shelf) -> None:
    holder = stored.taken_by()
    stored.mend(weather={"S": "fine"}, orders_fence={"N": "1"}, orders={"S": '{"paused": true, "softly": 1}'})
    assert stored.open().read() == Standing(1, holder, orders=Orders(paused=True))


def test_orders_that_were_left_for_another_holder_are_passed_over(stored: Shelf) -> None:
    holder = stored.taken_by()
    stored.mend(orders_fence={"N": "7"}, orders={"S": '{"paused": true}'})
    assert stored.open().read() == Standing(1, holder)


def test_the_item_has_what_conditions_compare_as_numbers(stored: Shelf) -> None:
    stored.clock.sleep(0.25)
    holder = stored.taken_by()
    item = stored.dynamo.get_item(TableName=stored.table, Key=KEY)["Item"]
    assert (item["owner"], item["fence"]) == ({"S": holder.id}, {"N": "1"})
    assert float(item["lease_until"]["N"]) == holder.until.timestamp() == START.timestamp() + 60.25
