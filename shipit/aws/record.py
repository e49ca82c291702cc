"""The record: history in one DynamoDB table for all apps and environments.

Keys: `pk` is `APP/ENV`; `sk` is `event#TIME#ID`, so that a query reads the history in order. Comfort, never safety: every
failure here is told and stops nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from shipit.aws.errors import code_of, translated
from shipit.aws.session import Session
from shipit.errors import CloudError, NotFound
from shipit.events import Ended, parse_event, to_json
from shipit.ports import Clock
from shipit.wait import Pace, retried

_TABLE_ATTEMPTS = 30


class DynamoRecord:
    """Implements `ports.Record`. The table is made at the first write, when that is permitted."""

    def __init__(self, session: Session, clock: Clock, table: str, app: str, env: str) -> None:
        self._session = session
        self._clock = clock
        self._table = table
        self._key = f"{app}/{env}"

    @property
    def _dynamo(self) -> Any:
        return self._session.client("dynamodb")

    def append(self, event: Ended) -> None:
        item = {
            "pk": {"S": self._key},
            "sk": {"S": f"event#{event.at.isoformat(timespec='milliseconds')}#{os.urandom(4).hex()}"},
            "event": {"S": to_json(event)},
        }
        try:
            self._put(item)
        except NotFound:
            self._create_table()
            retried(lambda: self._put(item), self._clock, _not_active_yet, _TABLE_ATTEMPTS, Pace(0.2, 1.5, 5))

    def history(self, limit: int) -> Sequence[Ended]:
        try:
            with translated("reading the history"):
                answer = self._dynamo.query(
                    TableName=self._table,
                    KeyConditionExpression="pk = :pk AND begins_with(sk, :event)",
                    ExpressionAttributeValues={":pk": {"S": self._key}, ":event": {"S": "event#"}},
                    ScanIndexForward=False,
                    ConsistentRead=True,
                    Limit=limit,
                )
        except NotFound:
            return ()
        events = (_read(item["event"]["S"]) for item in answer["Items"])
        return tuple(event for event in events if isinstance(event, Ended))

    def _put(self, item: dict[str, Any]) -> None:
        with translated("writing the history"):
            self._dynamo.put_item(TableName=self._table, Item=item, ConditionExpression="attribute_not_exists(sk)")

    def _create_table(self) -> None:
        keys = [("pk", "HASH"), ("sk", "RANGE")]
        try:
            with translated(f"creating table {self._table}"):
                self._dynamo.create_table(
                    TableName=self._table,
                    AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
                    KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
                    BillingMode="PAY_PER_REQUEST",
                )
        except CloudError as error:
            if code_of(error) != "ResourceInUseException":
                raise


class NoRecord:
    """`record: none`: nothing is kept."""

    def append(self, event: Ended) -> None:
        return None

    def history(self, limit: int) -> Sequence[Ended]:
        return ()


def _read(text: str) -> object:
    """The event; None for one that a later shipit wrote and this one does not know."""
    try:
        return parse_event(text)
    except ValueError:
        return None


def _not_active_yet(error: BaseException) -> bool:
    return isinstance(error, NotFound) or code_of(error) == "ResourceInUseException"
