"""What a gate is told, and what it answers: whether a canary may go on.

A gate is a file in `shipit/gates`: its settings, and a class that judges. It is asked again and again while a stage is held; the
health of the fleet is judged in any case, before any gate.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Protocol

from shipit.errors import UsageError
from shipit.events import GateWord
from shipit.model import Mood
from shipit.ports import Metrics
from shipit.value import value


@value()
class Facts:
    """The canary as it stands. `green` and `blue` are fleets, `since` is when green got the share that it has, `gates` are the names
    of those that judge it there; none named means all. `token` is what the preview header must say to reach green alone; empty
    where that cannot be.
    """

    app: str
    env: str
    version: str
    green: str
    blue: str
    percent: Fraction
    since: datetime
    now: datetime
    gates: tuple[str, ...] = ()
    token: str = ""


@value()
class Opinion:
    """GOOD: nothing against going on when the hold is over. BAD: send everything home. NOT_YET: not known, which is never a yes.

    `settled` says that more of the same stage would not change it: a hold ends early when all its gates say so.
    """

    mood: Mood
    reason: str
    settled: bool = False


class Gate(Protocol):
    """One that decides, asked every so many seconds. Errors of the world come as `ShipitError` and count as NOT_YET. With
    `smokes = True` it can judge a fleet that has no share yet.
    """

    every_seconds: float

    def check(self) -> None:
        """Raises `errors.Refused` for what can never work, before anything is done: a name that nobody knows."""

    def judge(self, facts: Facts) -> Opinion: ...


@value()
class Judged:
    """What a gate of that name said last, and what to do when the hold is over and it does not know: `extend`, `pass`, `ask` or
    `abort`.
    """

    gate: str
    opinion: Opinion
    undecided: str = "extend"


class Gates(Protocol):
    """All gates of an environment. `any` is False where there is none."""

    @property
    def any(self) -> bool: ...

    def check(self, names: Collection[str] = ()) -> None:
        """Raises `errors.Refused` for what can never work, and `errors.UsageError` for names that no gate has."""

    def judge(self, facts: Facts) -> Sequence[Judged]:
        """What each of them says; asked no more often than it wants to be, and with what it said last in between."""

    def smoking(self) -> Sequence[str]:
        """The names of those that can judge a fleet without a share."""

    def words(self) -> Sequence[GateWord]:
        """What each of them said last at each share."""


class NoGates:
    any = False

    def check(self, names: Collection[str] = ()) -> None:
        refuse_unknown(names, ())

    def judge(self, facts: Facts) -> Sequence[Judged]:
        return ()

    def smoking(self) -> Sequence[str]:
        return ()

    def words(self) -> Sequence[GateWord]:
        return ()


def refuse_unknown(names: Collection[str], known: Collection[str]) -> None:
    """Raises `errors.UsageError` for the first name that is not among those known."""
    for name in names:
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "shipit.yml has no gates"
            raise UsageError(f"there is no gate {name!r}", there, "docs/canary.md")


@value()
class World:
    """What a gate may use: counts and alarms of AWS, and where requests through the load balancer go.

    `ask` makes a request with a time limit in seconds and gives status, body and the seconds that it took; it raises
    `errors.ShipitError` where there is no answer. `run` runs a command line with variables and a time limit, tells each line of
    its output, and gives the exit code; None when it took too long.
    """

    metrics: Metrics
    run: Callable[[str, Mapping[str, str], float, Callable[[str], None]], int | None]
    ask: Callable[[str, Mapping[str, str], float], tuple[int, bytes, float]]
    note: Callable[[str], None]
