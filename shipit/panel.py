"""All gates of an environment: each is asked when it wants to be, and what changes its mind is told and kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from shipit.errors import Interrupted, ShipitError
from shipit.events import GateSpoke, GateWord, Listener
from shipit.gate import Facts, Gate, Judged, Opinion, absent, refuse_unknown
from shipit.model import Mood
from shipit.ports import Clock


@dataclass
class Seat:
    """One gate, by the name that shipit.yml gives it, and what it said last."""

    name: str
    gate: Gate
    undecided: str
    said: Opinion | None = None
    told: tuple[object, ...] = ()


@dataclass
class Panel:
    """`shipit.gate.Gates` over several of them."""

    seats: Sequence[Seat]
    clock: Clock
    hear: Listener
    _words: dict[tuple[float, str], GateWord] = field(default_factory=dict)
    _asked: dict[str, Facts] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        return bool(self.seats)

    def check(self, names: Collection[str] = ()) -> None:
        refuse_unknown(names, self.names())
        for seat in self.seats:
            seat.gate.check()

    def names(self) -> Sequence[str]:
        return [seat.name for seat in self.seats]

    def smoking(self) -> Sequence[str]:
        return [seat.name for seat in self.seats if getattr(seat.gate, "smokes", False)]

    def words(self) -> Sequence[GateWord]:
        return list(self._words.values())

    def judge(self, facts: Facts) -> Sequence[Judged]:
        asked = [seat for seat in self.seats if not facts.gates or seat.name in facts.gates]
        for seat in asked:
            if self._is_due(seat, facts):
                self._asked[seat.name] = facts
                seat.said = _opinion(seat.gate, facts)
                self._tell(seat, seat.said, facts)
        said = [_judged(seat, seat.said) for seat in asked if seat.said]
        return [*said, *absent(facts.gates, self.names())]

    def _is_due(self, seat: Seat, facts: Facts) -> bool:
        before = self._asked.get(seat.name)
        if before is None or before.since != facts.since:
            return True
        return facts.now - before.now >= timedelta(seconds=seat.gate.every_seconds)

    def _tell(self, seat: Seat, opinion: Opinion, facts: Facts) -> None:
        percent = float(facts.percent)
        self._words[percent, seat.name] = GateWord(seat.name, percent, opinion.mood, opinion.reason)
        now = (facts.since, opinion.mood, opinion.settled)
        if now != seat.told and not (opinion.mood is Mood.NOT_YET and not seat.told):
            self.hear(
                GateSpoke(
                    at=self.clock.now(),
                    app=facts.app,
                    env=facts.env,
                    gate=seat.name,
                    mood=opinion.mood,
                    reason=opinion.reason,
                    percent=percent,
                    settled=opinion.settled,
                )
            )
        seat.told = now


def _judged(seat: Seat, said: Opinion) -> Judged:
    gate = seat.gate
    return Judged(
        seat.name,
        said,
        seat.undecided,
        getattr(gate, "ends_holds", False),
        getattr(gate, "knows_after_seconds", 0.0),
    )


def _opinion(gate: Gate, facts: Facts) -> Opinion:
    try:
        return gate.judge(facts)
    except Interrupted:
        raise
    except ShipitError as error:
        return Opinion(Mood.NOT_YET, f"could not be asked: {error.what} ({error.why})")
