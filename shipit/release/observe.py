"""Facts for the decision, read anew each time, with the little that one process must remember between two looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from shipit.model import Fleet, Observed, Split
from shipit.ports import Clock, Fleets, Traffic


class Observer:
    """Reads the listener and the fleets. Remembers since when the split is as it is, and which fleets were watched long
    enough to be trusted; after a restart both begin anew, which costs time and never safety.
    """

    def __init__(self, traffic: Traffic, fleets: Fleets, clock: Clock) -> None:
        self._traffic = traffic
        self._fleets = fleets
        self._clock = clock
        self._shares: Mapping[str, int] | None = None
        self._split_since: datetime | None = None
        self._trusted: set[str] = set()

    def look(self, about: Sequence[str] = (), *, all_health: bool = False) -> Observed:
        """What is true now. Target health is read only for the fleets `about` which the decision is, and for those that
        serve, or for every one with `all_health`.
        """
        route = self._traffic.observe()
        fleets = self._fleets.observe(about)
        observed = Observed(route, fleets, self._since(route.split), frozenset(self._trusted))
        return self._with_health(observed, set(fleets) if all_health else {*about, *route.split.serving})

    def deepened(self, observed: Observed, about: Sequence[str]) -> Observed:
        """The same look with the health of these fleets as well, and with those that it did not look for."""
        missing = [name for name in about if name not in observed.fleets]
        found = self._fleets.observe(missing) if missing else {}
        fleets = {**observed.fleets, **{name: found[name] for name in missing if name in found}}
        return self._with_health(replace(observed, fleets=fleets), set(about))

    def _with_health(self, observed: Observed, names: set[str]) -> Observed:
        fleets: Mapping[str, Fleet] = {
            name: self._fleets.with_health(fleet) if name in names else fleet for name, fleet in observed.fleets.items()
        }
        return replace(observed, fleets=fleets)

    def refresh(self, name: str) -> Fleet | None:
        """One fleet with its health, as it is now: cheaper than a whole look while waiting for it."""
        fleet = self._fleets.observe([name]).get(name)
        return self._fleets.with_health(fleet) if fleet else None

    def trust(self, name: str) -> None:
        self._trusted.add(name)

    def _since(self, split: Split) -> datetime | None:
        shares = {name: weight for name, weight in split.weights.items() if weight}
        if shares != self._shares:
            self._shares, self._split_since = shares, self._clock.now()
        return self._split_since
