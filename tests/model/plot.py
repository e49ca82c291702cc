"""What happens in one run of the model, as a line of text that can be read, replayed and shrunk.

`two; 0 release v3 canary; 37 abort; 41 die 1`: the world in which it begins, then who begins what at which point, and what
befalls whoever is at a point. Points are counted over all operators.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from shipit import operations, steering
from shipit.choice import Manner, Wanted

SCHEDULES = {
    "at-once": "100%",
    "canary": "5% 4s, 50% 4s, 100%",
    "half": "50% 6s, 100%",
    "watched": "20% 2s, 100% 6s",
}
BEFORE = ("empty", "one", "two", "old", "staged", "left", "sticky")
STICKY_SECONDS = 600
# Everything that may befall an operator at a point, or the world around it, with what its number means.
TWISTS = {
    "switch": "another one goes first",
    "die": "its process is killed; 1: where others can see that it has ended",
    "fail": "the call is answered with an error, which one by number",
    "suspend": "its process stands still for so many seconds",
    "stop": "it gets a SIGTERM",
    "edit": "somebody gives all traffic, or half of it, to a fleet by hand",
    "delete": "somebody deletes a fleet by hand",
    "sick": "this version turns sick",
    "well": "all turn well again",
    "end": "an instance of a fleet ends",
    "deaf": "the record cannot be reached for so many seconds",
}
NUMBERS = {"suspend": (3, 45, 65, 90), "deaf": (3, 30, 90), "die": (0, 1), "sick": (1, 2, 3, 4)}
# Those which do no harm to the world beyond what a process does to itself.
OWN = ("switch", "die", "fail", "suspend", "stop", "deaf")
# What a run begins with.
RELEASES = (
    "release v1 at-once",
    "release v2 at-once",
    "release v2 canary",
    "release v3 canary",
    "release v3 half",
    "release v2 watched",
    "release v4 watched keep-failed",
    "release v3 canary keep-failed",
    "release v2 half no-auto-rollback",
    "stage v3",
    "release v2 canary accept-drift",
)
COMMANDS = (
    *RELEASES,
    "rollback",
    "rollback",
    "rollback v1",
    "rollback v2",
    "abort",
    "abort",
    "resume",
    "resume accept-drift",
    "retire",
    "promote",
    "promote full",
    "pause",
    "shift 25",
    "shift 0",
    "shift 100",
    "freeze",
    "unfreeze",
)

# What may be typed beside a release where nothing is written down: nothing keeps two releases apart there.
ALONE = ("abort", "rollback", "freeze")


@dataclass(frozen=True)
class Order:
    """Somebody types a command at a point."""

    at: int
    command: str

    def __str__(self) -> str:
        return f"{self.at} {self.command}"


@dataclass(frozen=True)
class Twist:
    """Something befalls whoever is at a point."""

    at: int
    what: str
    number: int = 0

    def __str__(self) -> str:
        return f"{self.at} {self.what} {self.number}"


@dataclass(frozen=True)
class Plot:
    """One run. `kept` False: nothing is written down (`record: none`)."""

    before: str
    orders: tuple[Order, ...]
    twists: tuple[Twist, ...] = ()
    kept: bool = True

    def __str__(self) -> str:
        unkept = () if self.kept else ("record none",)
        return "; ".join([self.before, *unkept, *map(str, self.orders), *map(str, self.twists)])

    def has(self, *whats: str) -> bool:
        return any(twist.what in whats for twist in self.twists)


def parse_plot(text: str) -> Plot:
    """The plot that reads like this."""
    before, *parts = [part.strip() for part in text.split(";")]
    kept = "record none" not in parts
    said = [part.partition(" ") for part in parts if part != "record none"]
    twists = tuple(_twist(int(at), *rest.split()) for at, _, rest in said if rest.split()[0] in TWISTS)
    orders = tuple(Order(int(at), rest) for at, _, rest in said if rest.split()[0] not in TWISTS)
    return Plot(before, orders, twists, kept)


def _twist(at: int, what: str, number: str = "0") -> Twist:
    return Twist(at, what, int(number))


def chosen(seed: int, number: int) -> Plot:
    """The random plot with that number, the same for everybody: one to three operators and up to five twists, in every
    second plot of a kind that does no harm to the world itself.
    """
    chance = random.Random(f"{seed}/{number}")
    orders = [Order(0, chance.choice(RELEASES))]
    kept = chance.random() < 0.9
    then = COMMANDS if kept else ALONE
    orders += [Order(_moment(chance), chance.choice(then)) for _ in range(chance.choice((0, 1, 1, 1, 2, 2)))]
    kinds = list(OWN) if chance.random() < 0.5 else list(TWISTS)
    twists = [_random_twist(chance, kinds) for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 4, 5)))]
    before = chance.choice(BEFORE)
    return Plot(before, _sorted(orders), _sorted(twists), kept)


def _random_twist(chance: random.Random, kinds: list[str]) -> Twist:
    what = chance.choice(kinds)
    return Twist(_moment(chance), what, chance.choice(NUMBERS.get(what, (0, 1, 2))))


def _moment(chance: random.Random) -> int:
    return chance.randrange(chance.choice((60, 150, 300)))


def _sorted(parts: list[Any]) -> tuple[Any, ...]:
    return tuple(sorted(parts, key=lambda part: part.at))


def command_of(text: str) -> Callable[[Any], Any]:
    """The command that reads like this."""
    name, *words = text.split()
    if name in ("release", "stage"):
        schedule = next((SCHEDULES[word] for word in words if word in SCHEDULES), None)
        wanted = Wanted(words[0], schedule=schedule, staged=name == "stage")
        return lambda shop: operations.release(shop, wanted, _manner(words))
    commands: dict[str, Callable[[Any], Any]] = {
        "rollback": lambda shop: operations.rollback(shop, words[0] if words else None),
        "abort": operations.abort,
        "resume": lambda shop: operations.resume(shop, _manner(words)),
        "retire": lambda shop: operations.retire(shop, _manner(words)),
        "promote": lambda shop: steering.promote(shop, full="full" in words),
        "pause": steering.pause,
        "shift": lambda shop: steering.shift(shop, Fraction(words[0])),
        "freeze": lambda shop: steering.freeze(shop, "holidays"),
        "unfreeze": steering.unfreeze,
    }
    return commands[name]


def shrunk(plot: Plot, fails: Callable[[Plot], bool]) -> Plot:
    """The plot without all that it can lose and still fail."""
    for part in (*plot.twists, *plot.orders[1:]):
        orders, twists = ([one for one in parts if one is not part] for parts in (plot.orders, plot.twists))
        smaller = Plot(plot.before, _sorted(orders), _sorted(twists), plot.kept)
        if fails(smaller):
            return shrunk(smaller, fails)
    return plot


def _manner(words: list[str]) -> Manner:
    return Manner(
        accept_drift="accept-drift" in words,
        despite_freeze="despite-freeze" in words,
        keep_failed="keep-failed" in words,
        auto_rollback="no-auto-rollback" not in words,
    )
