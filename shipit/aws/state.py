"""What stands now, as an item of DynamoDB: numbers for what conditions compare, JSON for everything else.

What a later shipit adds is passed over. What cannot be read is an error: to guess who holds the lease would be worse.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from fractions import Fraction
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from shipit.standing import Aim, Freeze, Holder, Orders, Standing, Written

T = TypeVar("T")
Attribute = Mapping[str, str]
Item = Mapping[str, Attribute]


def standing_of(item: Item) -> Standing:
    """What the item says. Raises ValueError that names the attribute which cannot be read.

    Orders hold for the holder they were written to; where nobody holds the lease, for whoever goes on.
    """
    fence = _integer(item, "fence")
    holder = _holder(item, fence)
    addressed = holder is None or _integer(item, "orders_fence") == fence
    orders = _value(Orders, item, "orders") if addressed else None
    return Standing(
        fence=fence,
        holder=holder,
        aim=_value(Aim, item, "aim"),
        orders=orders or Orders(),
        written=_value(Written, item, "written") or Written(),
        freeze=_value(Freeze, item, "freeze"),
    )


def number(value: float) -> Attribute:
    return {"N": repr(value)}


def text(value: str) -> Attribute:
    return {"S": value}


def document(value: Aim | Freeze | Orders | Written) -> Attribute:
    return text(json.dumps(value, default=_plain))


def holder_document(holder: Holder) -> Attribute:
    """Without `id` and `fence`: those are attributes of their own, and the fence is counted by DynamoDB."""
    return text(json.dumps({**_plain(holder), "id": None, "fence": None}, default=_plain))


def _holder(item: Item, fence: int) -> Holder | None:
    if "owner" not in item:
        return None
    return _value(Holder, {"holder": {}, **item}, "holder", id=item["owner"].get("S"), fence=fence)


def _integer(item: Item, name: str) -> int:
    try:
        return int(item.get(name, {"N": "0"})["N"])
    except (KeyError, ValueError) as error:
        raise ValueError(f"{name} is not a whole number: {item[name]}") from error


def _value(cls: type[T], item: Item, name: str, **known: object) -> T | None:
    """The attribute as a value of that class; `known` goes before what the JSON says."""
    if name not in item:
        return None
    try:
        return _dataclass(cls, {**json.loads(item[name]["S"]), **known})
    except (ArithmeticError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{name} is not what shipit writes: {type(error).__name__}: {error}") from error


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Fraction):
        return str(value)
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} has no JSON")


def _dataclass(cls: type[T], plain: Mapping[str, Any]) -> T:
    """Fields that the JSON lacks get their defaults: an earlier shipit did not know them."""
    given = {name: _read(hint, plain[name], name) for name, hint in get_type_hints(cls).items() if name in plain}
    return cls(**given)


def _read(hint: Any, plain: Any, name: str) -> Any:
    choices = get_args(hint)
    if NoneType in choices:
        return None if plain is None else _read(choices[0], plain, name)
    if isinstance(hint, type) and is_dataclass(hint):
        return _dataclass(hint, {**plain})
    try:
        return _READERS[hint](plain)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise ValueError(f"{name} is {plain!r}") from error


def _exactly(kind: type[T]) -> Callable[[Any], T]:
    def read(plain: Any) -> T:
        if type(plain) is not kind:
            raise TypeError(f"not of type {kind.__name__}")
        return plain

    return read


def _moment(plain: Any) -> datetime:
    at = datetime.fromisoformat(plain)
    if at.tzinfo is None:
        raise ValueError("a time without its zone")
    return at


def _fraction(plain: Any) -> Fraction:
    return Fraction(_exactly(str)(plain))


def _weights(plain: Any) -> Mapping[str, int]:
    return {name: _exactly(int)(weight) for name, weight in _exactly(dict)(plain).items()}


def _names(plain: Any) -> tuple[str, ...]:
    if not isinstance(plain, list):
        raise TypeError("not a list")
    return tuple(_exactly(str)(name) for name in plain)


_READERS: Mapping[Any, Callable[[Any], Any]] = {
    str: _exactly(str),
    bool: _exactly(bool),
    int: _exactly(int),
    datetime: _moment,
    Fraction: _fraction,
    Mapping[str, int]: _weights,
    tuple[str, ...]: _names,
}
