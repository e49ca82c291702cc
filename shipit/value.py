"""Frozen dataclasses that cost little to define.

`dataclass(frozen=True)` compiles six functions for every class, and a short command defines some fifty classes before it does
anything: a tenth of the time of a rollback. Here one function is compiled, `__init__`, and the other five are shared.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
    """Class decorator: a dataclass that compares, hashes and prints by its fields and cannot be changed."""

    def make(cls: type[T]) -> type[T]:
        made = dataclass(eq=False, repr=False, kw_only=kw_only)(cls)
        for name, shared in _SHARED.items():
            if name not in cls.__dict__:
                setattr(made, name, shared)
        return made

    return make


def _set(self: Any, name: str, new: object) -> None:
    if name in self.__dict__ or name not in self.__dataclass_fields__:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")
    self.__dict__[name] = new


def _delete(_self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _compared(self: Any) -> tuple[object, ...]:
    return tuple(getattr(self, name) for name, known in self.__dataclass_fields__.items() if known.compare)


def _equal(self: Any, other: object) -> bool:
    return _compared(self) == _compared(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash(_compared(self))


def _shown(self: Any) -> str:
    fields = (f"{name}={getattr(self, name)!r}" for name, known in self.__dataclass_fields__.items() if known.repr)
    return f"{type(self).__qualname__}({', '.join(fields)})"


_SHARED: dict[str, Any] = {
    "__setattr__": _set,
    "__delattr__": _delete,
    "__eq__": _equal,
    "__hash__": _hash,
    "__repr__": _shown,
}
