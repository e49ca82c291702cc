"""The race between a release that is about to write and an abort or rollback: the latter begins at every point of its way."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.play import Run, steady_names
from tests.model.plot import Order, Plot

RELEASES = {"one": "release v2 canary", "two": "release v1 canary", "staged": "release v2 watched"}


def points(plot: Plot) -> int:
    """How many points a run has before everybody is quiet."""
    with steady_names():
        run = Run(plot)
        run._before()
        run._happen()
        return run.town.turns.points - run._base


def races(caller: str, *, kept: bool) -> Iterator[Plot]:
    """One plot for every point at which `caller` may begin."""
    for before, release in RELEASES.items():
        alone = Plot(before, (Order(0, release),), kept=kept)
        for at in range(1, points(alone) + 1):
            yield Plot(before, (*alone.orders, Order(at, caller)), kept=kept)
