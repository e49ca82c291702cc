"""One DynamoDB table for all apps and environments: every write conditional, the table made by the first one.

Keys: `pk` is `APP/ENV`; `sk` is `state` for what stands now, and `event#TIME#ID` so that a query reads the history in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from typing import Any

from shipit.aws.errors import code_of, translated
from shipit.aws.session import Session
from shipit.aws.state import Attribute, Item, text
from shipit.errors import AccessError, CloudError, NotFound
from shipit.ports import Clock
from shipit.value import value
from shipit.wait import Pace, retried

_TABLE_ATTEMPTS = 30
_BOTH_WAYS = "allow the dynamodb actions of docs/permissions.md, or go without: `record: none` in shipit.yml"


class Unmet(Exception):
    """The condition of a write does not hold; `item` is what was found instead, empty when there is nothing."""

    def __init__(self, item: Item) -> None:
        super().__init__("the condition does not hold")
        self.item = item


@value()
class Change:
    """A write of some attributes of one item.

    `sets` has new values, or formulas as text; `values` what `condition` and formulas call `:name`. Attributes are called
    `#name` in both: `owner` is a reserved word of DynamoDB, and any other may become one.
    """

    condition: str
    values: Mapping[str, Attribute] = field(default_factory=dict)
    sets: Mapping[str, Attribute | str] = field(default_factory=dict)
    removes: tuple[str, ...] = ()

    def parameters(self) -> dict[str, Any]:
        """As UpdateItem takes them. It refuses a name or value that is given but not used."""
        update = " ".join(part for part in (self._set(), self._remove()) if part)
        new = {f":{name}": new for name, new in self.sets.items() if not isinstance(new, str)}
        values = {**{f":{name}": known for name, known in self.values.items()}, **new}
        return {
            "UpdateExpression": update,
            "ConditionExpression": self.condition,
            "ExpressionAttributeNames": {name: name[1:] for name in re.findall(r"#\w+", f"{update} {self.condition}")},
            **({"ExpressionAttributeValues": values} if values else {}),
        }

    def _set(self) -> str:
        formulas = {name: new if isinstance(new, str) else f":{name}" for name, new in self.sets.items()}
        return "SET " + ", ".join(f"#{name} = {formula}" for name, formula in formulas.items()) if formulas else ""

    def _remove(self) -> str:
        return "REMOVE " + ", ".join(f"#{name}" for name in self.removes) if self.removes else ""


class Table:
    """The items of one app and environment."""

    def __init__(self, session: Session, clock: Clock, name: str, key: str) -> None:
        self.name = name
        self.key = key
        self._session = session
        self._clock = clock

    @property
    def _dynamo(self) -> Any:
        return self._session.client("dynamodb")

    def get(self, sk: str) -> Item:
        """The item as it is now; empty when there is none, or no table."""
        try:
            with _allowed("reading the record"):
                answer = self._dynamo.get_item(TableName=self.name, Key=self._item(sk), ConsistentRead=True)
        except NotFound:
            return {}
        item: Item = answer.get("Item", {})
        return item

    def newest(self, prefix: str, page: int) -> Iterator[Item]:
        """Items whose `sk` begins so, the last one first, read `page` at a time."""
        start: dict[str, Any] = {}
        while True:
            try:
                with _allowed("reading the history"):
                    answer = self._query(prefix, page, start)
            except NotFound:
                return
            yield from answer["Items"]
            if not answer.get("LastEvaluatedKey"):
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def change(self, sk: str, change: Change) -> Item:
        """Writes, and answers with the item as it is then. Raises `Unmet`, also when there is no table."""
        try:
            return self._update(sk, change)
        except NotFound:
            raise Unmet({}) from None

    def begin(self, sk: str, change: Change) -> Item:
        """`change`, but makes the table where there is none, and waits until it can be written to."""
        try:
            return self._update(sk, change)
        except NotFound:
            self._create()
            pace = Pace(0.2, 1.5, 5)
            return retried(lambda: self._update(sk, change), self._clock, _not_active_yet, _TABLE_ATTEMPTS, pace)

    def _item(self, sk: str) -> Item:
        return {"pk": text(self.key), "sk": text(sk)}

    def _update(self, sk: str, change: Change) -> Item:
        with _allowed("writing the record"):
            try:
                answer = self._dynamo.update_item(
                    TableName=self.name,
                    Key=self._item(sk),
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    **change.parameters(),
                )
            except self._dynamo.exceptions.ConditionalCheckFailedException as error:
                raise Unmet(error.response.get("Item", {})) from error
        item: Item = answer["Attributes"]
        return item

    def _query(self, prefix: str, page: int, start: Mapping[str, Any]) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self._dynamo.query(
            TableName=self.name,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues={":pk": text(self.key), ":prefix": text(prefix)},
            ScanIndexForward=False,
            ConsistentRead=True,
            Limit=page,
            **start,
        )
        return answer

    def _create(self) -> None:
        keys = [("pk", "HASH"), ("sk", "RANGE")]
        try:
            with _allowed(f"creating table {self.name}"):
                self._dynamo.create_table(
                    TableName=self.name,
                    AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name, _ in keys],
                    KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind in keys],
                    BillingMode="PAY_PER_REQUEST",
                )
        except CloudError as error:
            if code_of(error) != "ResourceInUseException":
                raise


@contextmanager
def _allowed(doing: str) -> Iterator[None]:
    """`translated`, with both ways out for who may not use the table."""
    try:
        with translated(doing):
            yield
    except AccessError as error:
        if error.code == "AccessDeniedException":
            error.next = _BOTH_WAYS
        raise


def _not_active_yet(error: BaseException) -> bool:
    return isinstance(error, NotFound) or code_of(error) == "ResourceInUseException"
