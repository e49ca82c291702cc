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

    `settled` says that more of the same stage would not change it: a hold ends early when all its gates say so, and one of them is
    of those that may end it.
    """

    mood: Mood
    reason: str
    settled: bool = False


class Gate(Protocol):
    """One that decides, asked every so many seconds. Errors of the world come as `ShipitError` and count as NOT_YET. With
    `smokes = True` it can judge a fleet that has no share yet; with `ends_holds = True` it knows from what users got, so that a hold
    need not last any longer; `knows_after_seconds` is how long after a shift it may know nothing at the earliest.
    """

    @property
    def every_seconds(self) -> float: ...

    def check(self) -> None:
        """Raises `errors.Refused` for what can never work, before anything is done: a name that nobody knows."""

    def judge(self, facts: Facts) -> Opinion: ...


@value()
class Judged:
    """What a gate of that name said last, and what to do when the hold is over and it does not know: `extend`, `pass`, `ask` or
    `abort`. `ends_holds` and `knows_after_seconds` as in `Gate`.
    """

    gate: str
    opinion: Opinion
    undecided: str = "extend"
    ends_holds: bool = False
    knows_after_seconds: float = 0.0


class Gates(Protocol):
    """All gates of an environment. `any` is False where there is none."""

    @property
    def any(self) -> bool: ...

    def check(self, names: Collection[str] = ()) -> None:
        """Raises `errors.Refused` for what can never work, and `errors.UsageError` for names that no gate has."""

    def judge(self, facts: Facts) -> Sequence[Judged]:
        """What each of them says; asked no more often than it wants to be, and with what it said last in between. One that the stage
        names and nobody has does not know.
        """

    def names(self) -> Sequence[str]:
        """Those that there are, as a schedule names them."""

    def smoking(self) -> Sequence[str]:
        """The names of those that can judge a fleet without a share."""

    def words(self) -> Sequence[GateWord]:
        """What each of them said last at each share."""


class NoGates:
    any = False

    def check(self, names: Collection[str] = ()) -> None:
        refuse_unknown(names, ())

    def judge(self, facts: Facts) -> Sequence[Judged]:
        return absent(facts.gates, ())

    def names(self) -> Sequence[str]:
        return ()

    def smoking(self) -> Sequence[str]:
        return ()

    def words(self) -> Sequence[GateWord]:
        return ()


def absent(names: Collection[str], known: Collection[str]) -> Sequence[Judged]:
    """What those say that a stage names and shipit.yml does not have (any more): nothing passes by absence."""
    return [Judged(name, Opinion(Mood.NOT_YET, "shipit.yml has no such gate")) for name in names if name not in known]


def refuse_unknown(names: Collection[str], known: Collection[str]) -> None:
    """Raises `errors.UsageError` for the first name that is not among those known."""
    for name in names:
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "shipit.yml has no gates"
            raise UsageError(f"there is no gate {name!r}", there, f"correct the schedule, or add gates: {{{name}: …}}")


class Running(Protocol):
    """A program that was started. It ends with the command that started it."""

    @property
    def code(self) -> int | None:
        """The exit code once it is over; None when it took too long."""

    def over(self) -> bool:
        """Whether it has ended, or has just been ended because it took too long."""

    def end(self) -> None:
        """Ends it now, with all that it started."""


@value()
class World:
    """What a gate may use: counts and alarms of AWS, and where requests through the load balancer go.

    `ask` makes a request with a time limit in seconds and gives status, body and the seconds that it took; it raises
    `errors.ShipitError` where there is no answer. `start` starts a command line with variables and a time limit, and tells each line
    of its output.
    """

    metrics: Metrics
    start: Callable[[str, Mapping[str, str], float, Callable[[str], None]], Running]
    ask: Callable[[str, Mapping[str, str], float], tuple[int, bytes, float]]
    note: Callable[[str], None]
