"""Facts for the decision, read anew each time, with the little that one process must remember between two looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction

from shipit.model import Fleet, Observed, Split
from shipit.ports import Clock, Fleets, Traffic
from shipit.standing import Written


class Observer:
    """Reads the listener and the fleets. Remembers since when the split is as it is, and which fleets were watched long
    enough to be trusted, which of them fell short or lost instances; after a restart these begin anew, which costs time and
    never safety.
    """

    def __init__(self, traffic: Traffic, fleets: Fleets, clock: Clock) -> None:
        self._traffic = traffic
        self._fleets = fleets
        self._clock = clock
        self._shares: Mapping[str, int] | None = None
        self._split_since: datetime | None = None
        self._trusted: set[str] = set()
        self._short_since: dict[str, datetime] = {}
        self._lost: dict[str, set[str]] = {}
        self._held: set[tuple[str, Fraction]] = set()
        self._doubted: set[tuple[str, Fraction]] = set()
        self._smoked: set[str] = set()

    def look(self, about: Sequence[str] = (), *, all_health: bool = False) -> Observed:
        """What is true now. Target health is read only for the fleets `about` which the decision is, and for those that
        serve, or for every one with `all_health`.
        """
        route = self._traffic.observe()
        fleets = self._fleets.observe(about)
        observed = Observed(
            route,
            fleets,
            self._since(route.split),
            frozenset(self._trusted),
            held=frozenset(self._held),
            doubted=frozenset(self._doubted),
            smoked=frozenset(self._smoked),
        )
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
        for name in names & set(fleets):
            self._watch(fleets[name])
        lost = {name: frozenset(ids) for name, ids in self._lost.items()}
        return replace(observed, fleets=fleets, short_since=dict(self._short_since), lost=lost)

    def _watch(self, fleet: Fleet) -> None:
        if fleet.healthy >= fleet.desired:
            self._short_since.pop(fleet.name, None)
        else:
            self._short_since.setdefault(fleet.name, self._clock.now())
        leaving = {instance.id for instance in fleet.instances if instance.leaving}
        if leaving and not fleet.leaving:
            self._lost.setdefault(fleet.name, set()).update(leaving)

    def recall(self, written: Written) -> None:
        """Takes over since when the split is as it is from what was written down, by whichever process. Where one ended as it was
        about to write another split, that may have been there in between.
        """
        if written.at and written.intent is None:
            self._shares, self._split_since = Split(written.weights).shares, written.at

    def unsettle(self, split: Split) -> None:
        """This is about to be written: somebody may write it back before it is looked at again."""
        if split.shares != self._shares:
            self._shares = None

    def refresh(self, name: str) -> Fleet | None:
        """One fleet with its health, as it is now: cheaper than a whole look while waiting for it."""
        fleet = self._fleets.observe([name]).get(name)
        return self._fleets.with_health(fleet) if fleet else None

    def hold_ended(self, name: str, percent: Fraction, *, doubted: bool) -> None:
        """The gates have had their say about the fleet at this share."""
        (self._doubted if doubted else self._held).add((name, percent))

    def smoke_passed(self, name: str) -> None:
        """It has answered as it should before it had a share."""
        self._smoked.add(name)

    def trust(self, name: str) -> None:
        self._trusted.add(name)

    def _since(self, split: Split) -> datetime | None:
        if split.shares != self._shares:
            self._shares, self._split_since = split.shares, self._clock.now()
        return self._split_since
