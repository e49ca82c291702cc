"""The record when DynamoDB is not as one wishes: answers that get lost, a table that is missing, forbidden or busy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from shipit.errors import AccessError, CloudError, Held, LeaseLost, Refused
from shipit.events import Ended
from shipit.model import Ending
from shipit.standing import Freeze, Standing
from tests.contract.clouds import Wire
from tests.contract.records import AIM, FREEZE, LATER, PAUSE, Shelf, all_are, nobody_is, online, stored, wire
from tests.fakes.cloud import START
from tests.sandbox.conftest import sandbox

__all__ = ["online", "sandbox", "stored", "wire"]

ENDED = Ended(at=START, command="release", ending=Ending.SUCCEEDED, version="v1")
LOST = "InternalServerError"


# Answers that get lost: the write took effect, and is repeated by botocore or by whoever asked


def test_a_take_that_failed_after_it_took_effect_is_taken_once(stored: Shelf, wire: Wire) -> None:
    stored.open().freeze(FREEZE)
    wire.fail_after("dynamodb", "UpdateItem", LOST)
    with pytest.raises(CloudError):
        stored.taken_by("ann")
    assert stored.taken_by("ann").fence == 1


def test_a_take_that_is_sent_twice_is_taken_once(stored: Shelf, wire: Wire) -> None:
    wire.before("dynamodb", "UpdateItem", lambda: stored.taken_by("ann"))
    assert stored.taken_by("ann").fence == 1


def test_a_lease_taken_from_the_dead_by_a_write_that_is_sent_twice_is_taken_once(stored: Shelf, wire: Wire) -> None:
    def take() -> int:
        return stored.open().take(stored.holder("bob"), dead=all_are).fence

    stored.taken_by("ann")
    wire.before("dynamodb", "UpdateItem", take)
    assert take() == 2


def test_a_taker_that_is_overtaken_is_told_so(stored: Shelf, wire: Wire) -> None:
    wire.before("dynamodb", "UpdateItem", lambda: stored.taken_by("bob"))
    with pytest.raises(Held, match="release of v2"):
        stored.taken_by("ann")


def test_of_two_who_take_from_the_dead_the_second_is_told_of_the_first(stored: Shelf, wire: Wire) -> None:
    stored.taken_by("dead")

    def take(name: str) -> Standing:
        return stored.open().take(stored.holder(name), dead=lambda holder: holder.who == "dead")

    def overtake(holder: object) -> bool:
        wire.before("dynamodb", "UpdateItem", lambda: take("bob"))
        return "dead" in repr(holder)

    with pytest.raises(Held) as raised:
        stored.open().take(stored.holder("ann"), dead=overtake)
    assert "by bob" in raised.value.why
    assert stored.open().read().fence == 2


def test_a_holder_that_leaves_while_it_is_asked_about_makes_room(stored: Shelf) -> None:
    ann = stored.taken_by("ann")

    def leaves(_: object) -> bool:
        stored.open().free(ann, None)
        return True

    standing = stored.open().take(stored.holder("bob"), dead=leaves)
    assert standing == Standing(2, stored.holder("bob", fence=2))


@pytest.mark.parametrize("aim", [AIM, None], ids=["goal", "no goal"])
def test_giving_back_twice_on_the_wire_is_giving_back_once(stored: Shelf, wire: Wire, aim: object) -> None:
    holder, kept = stored.taken_by(), AIM if aim else None
    wire.before("dynamodb", "UpdateItem", lambda: stored.open().free(holder, kept))
    stored.open().free(holder, kept)
    assert stored.open().read() == Standing(1, aim=kept)


def test_a_renewal_that_is_sent_twice_is_one(stored: Shelf, wire: Wire) -> None:
    holder = stored.taken_by()
    wire.before("dynamodb", "UpdateItem", lambda: stored.open().renew(holder, LATER, aim=AIM))
    assert stored.open().renew(holder, LATER, aim=AIM) == Standing(1, replace(holder, until=LATER), AIM)


def test_a_freeze_that_is_sent_twice_is_one(stored: Shelf, wire: Wire) -> None:
    wire.before("dynamodb", "UpdateItem", lambda: stored.open().freeze(FREEZE))
    stored.open().freeze(FREEZE)
    assert stored.open().read().freeze == FREEZE


def test_who_freezes_at_the_same_moment_is_told_of_the_other(stored: Shelf, wire: Wire) -> None:
    wire.before("dynamodb", "UpdateItem", lambda: stored.open().freeze(Freeze("mine", "bob", START)))
    with pytest.raises(Refused, match="frozen already"):
        stored.open().freeze(FREEZE)


def test_an_unfreeze_that_is_sent_twice_says_that_it_was_frozen(stored: Shelf, wire: Wire) -> None:
    stored.open().freeze(FREEZE)
    wire.before("dynamodb", "UpdateItem", lambda: stored.open().unfreeze())
    assert stored.open().unfreeze()
    assert stored.open().read().freeze is None


def test_orders_that_are_sent_twice_around_a_new_holder_count_as_left_when_it_kept_them(
    stored: Shelf, wire: Wire
) -> None:
    first = stored.taken_by("ann")

    def meanwhile() -> None:
        stored.open().order(PAUSE, first.fence)
        stored.open().take(stored.holder("bob"), dead=all_are, keep_orders=True)

    wire.before("dynamodb", "UpdateItem", meanwhile)
    assert stored.open().order(PAUSE, first.fence)
    assert stored.open().read().orders == PAUSE


def test_an_event_that_is_sent_twice_is_told_once(stored: Shelf, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.urandom", bytes)  # the same name for both, as when botocore repeats
    wire.before("dynamodb", "UpdateItem", lambda: stored.open().append(ENDED))
    stored.open().append(ENDED)
    assert list(stored.open().history(5)) == [ENDED]


# A table that is missing, forbidden, busy


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda record, holder: record.take(holder, dead=nobody_is), id="take"),
        pytest.param(lambda record, _: record.freeze(FREEZE), id="freeze"),
        pytest.param(lambda record, _: record.append(ENDED), id="append"),
    ],
)
def test_the_first_write_makes_the_table(stored: Shelf, write: Callable[..., object]) -> None:
    write(stored.open(), stored.holder())
    assert stored.table in stored.dynamo.list_tables()["TableNames"]


def test_what_makes_no_sense_without_a_table_makes_none(stored: Shelf) -> None:
    record = stored.open()
    record.free(stored.holder(), AIM)
    assert not record.order(PAUSE, 0)
    assert not record.unfreeze()
    with pytest.raises(LeaseLost):
        record.renew(stored.holder(), LATER)
    assert record.read() == Standing()
    assert stored.table not in stored.dynamo.list_tables()["TableNames"]


def test_a_table_that_somebody_else_is_making_is_waited_for(stored: Shelf, wire: Wire) -> None:
    stored.open().freeze(FREEZE)
    wire.fail_before("dynamodb", "UpdateItem", "ResourceNotFoundException", times=3)
    assert stored.taken_by().fence == 1
    assert stored.clock.now() > START


@pytest.mark.parametrize("operation", ["CreateTable", "UpdateItem"])
def test_who_may_not_write_is_told_both_ways_out(stored: Shelf, wire: Wire, operation: str) -> None:
    wire.fail_before("dynamodb", operation, "AccessDeniedException")
    with pytest.raises(AccessError) as raised:
        stored.taken_by()
    assert "AccessDeniedException" in raised.value.why
    assert "docs/permissions.md" in raised.value.next
    assert "record: none" in raised.value.next


@pytest.mark.parametrize("operation", ["GetItem", "Query"])
def test_who_may_not_read_is_told_both_ways_out(stored: Shelf, wire: Wire, operation: str) -> None:
    wire.fail_before("dynamodb", operation, "AccessDeniedException", times=2)
    with pytest.raises(AccessError) as raised:
        (stored.open().read(), stored.open().history(1))
    assert "record: none" in raised.value.next


def test_credentials_that_ran_out_are_not_taken_for_a_missing_permission(stored: Shelf, wire: Wire) -> None:
    wire.fail_before("dynamodb", "GetItem", "ExpiredTokenException")
    with pytest.raises(AccessError) as raised:
        stored.open().read()
    assert "log in again" in raised.value.next


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "ThrottlingException", LOST])
def test_a_table_that_is_too_busy_is_no_answer_about_the_lease(stored: Shelf, wire: Wire, code: str) -> None:
    holder = stored.taken_by()
    wire.fail_before("dynamodb", "UpdateItem", code)
    with pytest.raises(CloudError) as raised:
        stored.open().renew(holder, LATER)
    assert raised.value.code == code
    assert stored.open().renew(holder, LATER).holder == replace(holder, until=LATER)
