"""The gates: one file each, found by looking. A new file `shipit/gates/NAME.py` is the gate of kind NAME.

It has `Settings`, what shipit.yml may say under `gates.NAME`, and `gate(settings, world)`, which makes a `shipit.gate.Gate` of
them; with `SEVERAL = True` there can be several of the kind, by name.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shipit.gate import World
    from shipit.panel import Seat


def kinds() -> dict[str, ModuleType]:
    """The modules of this package by kind."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names}


def several(kind: str) -> bool:
    """Whether there can be several gates of the kind, by name."""
    return bool(getattr(kinds()[kind], "SEVERAL", False))


def names(settings: Any) -> Sequence[str]:
    """The names of the gates that the section asks for, as a schedule and the history name them."""
    return [name for name, _, _ in _asked_for(settings)]


def seats(settings: Any, world: World) -> Sequence[Seat]:
    """The gates that the section `gates` of shipit.yml asks for."""
    return list(_seats(settings, world))


def _seats(settings: Any, world: World) -> Iterator[Seat]:
    from shipit.panel import Seat

    for name, module, one in _asked_for(settings):
        yield Seat(name, module.gate(one, world), getattr(one, "undecided", "extend"))


def _asked_for(settings: Any) -> Iterator[tuple[str, ModuleType, Any]]:
    """Name, kind and settings of each gate."""
    for kind, module in kinds().items():
        found = getattr(settings, kind)
        for name, one in (found if several(kind) else {kind: found}).items():
            if one is not None:
                yield name, module, one
