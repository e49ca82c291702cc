"""One run of the model: a world, operators, what befalls them; then all is quiet, and somebody resumes."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from shipit.errors import Refused, ShipitError
from shipit.events import Ended, Progress, Started
from shipit.model import Ending
from shipit.release.policy import Policy
from shipit.standing import LEASE_SECONDS, SKEW_SECONDS
from tests.fakes.shop import FakeShop, Town
from tests.fakes.turns import Hand
from tests.model.plot import STICKY_SECONDS, Order, Plot, command_of
from tests.model.twists import Twister
from tests.model.verdict import CLEAN, Judge, Life
from tests.model.watch import FOREIGN, Watch
from tests.release.faults import picture

# Everything is quick, so that a run is short; what counts is the order of things.
POLICY = Policy(
    steady_seconds=1, deadline_seconds=60, keep_seconds=400, settle_seconds=8, dip_seconds=5, poll_seconds=2
)
LONGEST_SECONDS = 300
MOST_POINTS = 6000


@contextmanager
def steady_names() -> Iterator[None]:
    """The same names for fleets and holders in every run."""
    numbers = itertools.count()
    with patch.object(os, "urandom", lambda size: next(numbers).to_bytes(size, "big")):
        yield


def play(plot: Plot) -> list[str]:
    """What there is to complain of."""
    with steady_names():
        return Run(plot).complaints()


@dataclass
class Run:
    plot: Plot
    lives: list[Life] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.town = Town(policy=POLICY, schedule="100%", kept=self.plot.kept)
        cloud = self.town.cloud
        cloud.boot_seconds, cloud.health_seconds, cloud.drain_seconds = 4, 2, 4
        cloud.foreign = dict(FOREIGN)
        self.watch = self.town.watcher = Watch(self.town)
        self.twister = Twister(self.town, self.watch)
        self.judge = Judge(self.plot, self.town, self.watch, self.twister)
        self.town.turns.each_second = self.twister.each_second

    def complaints(self) -> list[str]:
        try:
            self._before()
            self._happen()
            self._afterwards()
        except ShipitError as error:
            self.watch.complain(f"raised {error!r}")
        finally:
            self.town.turns.at_point = lambda hand, name: None
            self.town.turns.kill_all()
        return self.watch.complaints

    # The world as it is found

    def _before(self) -> None:
        found = self.plot.before
        if found in ("one", "two", "old", "staged", "left", "sticky"):
            self._do("release v1 at-once")
        if found == "sticky":
            self.town.cloud.sticky_seconds = STICKY_SECONDS
        if found in ("two", "old", "sticky"):
            self.town.turns.pass_time(30)
            self._do("release v2 at-once")
        if found == "staged":
            self._do("stage v2")
        if found == "left":
            self._leave_a_canary()
        self.town.turns.pass_time(600 if found == "old" else 30)

    def _leave_a_canary(self) -> None:
        shop = self.town.begin("old", command_of("release v2 canary"))
        self.town.turns.play(lambda: 5 in self.town.cloud.weights.values())
        assert shop.hand
        self.town.turns.kill_all()

    def _do(self, text: str) -> Ended:
        ended: Ended = self.town.run(command_of(text), "ada")
        assert ended.ending is Ending.SUCCEEDED, (text, ended)
        return ended

    # What happens

    def _happen(self) -> None:
        turns = self.town.turns
        self._base, self._orders = turns.points, list(self.plot.orders)
        self._twists = list(self.plot.twists)
        turns.at_point = self._at_point
        end = turns.seconds() + LONGEST_SECONDS
        while self._orders:
            self._begin(self._orders.pop(0))
            turns.play(lambda: turns.seconds() > end or turns.points - self._base > MOST_POINTS)
        if turns.points - self._base > MOST_POINTS:
            self.watch.complain("it does not come to an end")
        self.judge.endings(self.lives)
        turns.at_point = lambda hand, name: None
        self.judge.who_won(self.lives)
        turns.kill_all()

    def _at_point(self, hand: Hand, name: str) -> None:
        at = self.town.turns.points - self._base
        while self._orders and self._orders[0].at <= at:
            self._begin(self._orders.pop(0))
            self.town.turns.yield_turn(hand)
        due = [twist for twist in self._twists if twist.at <= at]
        for twist in due:
            if twist not in self._twists:  # it has happened to another one meanwhile
                continue
            self._twists.remove(twist)
            self.twister.happen(twist, hand, name)

    def _begin(self, order: Order) -> None:
        living = [life for life in self.lives if not life.shop.ended]
        for life in living:
            life.alone = False
        name = "abcdefgh"[len(self.lives)]
        shop = self.town.begin(name, lambda shop: self._live(life, order))
        life = Life(shop, order, {}, False, len(living), not living)
        self.lives.append(life)

    def _live(self, life: Life, order: Order) -> Any:
        life.picture, life.tidy = picture(self.town.cloud), self.judge.is_tidy()
        life.began_at = self.town.turns.points
        life.shop.engine.emit = life.shop.hear = lambda event: self._hear(life, event)
        try:
            return command_of(order.command)(life.shop)
        finally:
            self.judge.clean(life)

    def _hear(self, life: Life, event: Any) -> None:
        if isinstance(event, Started):
            life.started_at = self.town.turns.points
        life.shop.events.append(event)

    # Afterwards

    def _afterwards(self) -> None:
        turns = self.town.turns
        self.twister.heal()
        turns.pass_time(LEASE_SECONDS + SKEW_SECONDS + 5)
        self.watch.hurt = {n for n in self.watch.hurt if n in self.town.cloud.groups and not self.watch._healthy(n)}
        resumed = self._resume()
        done = resumed and (resumed.ending in CLEAN or "asked for it" in resumed.reason)
        if resumed and not done and not self.twister.touched and not self.plot.has("sick", "end"):
            self.watch.complain(f"resume ended {resumed.ending}: {resumed.reason}")
        if resumed and resumed.ending in CLEAN and not self.twister.touched:
            self.judge.pins("after resume")
        self._converge()

    def _resume(self) -> Ended | None:
        """Resumes; somebody promotes what waits for a person."""
        turns = self.town.turns
        shop = self.town.begin("zoe", command_of("resume accept-drift"))
        turns.play(lambda: shop.ended or _waits(shop) or turns.points - self._base > 2 * MOST_POINTS)
        if not shop.ended:
            self._carefully("promote full")
            end = turns.seconds() + LONGEST_SECONDS
            turns.play(lambda: shop.ended or turns.seconds() > end)
        if not shop.ended:
            self.watch.complain("resume does not come to an end")
            return None
        ended: Ended = shop.outcome()
        return ended

    def _carefully(self, text: str) -> Any:
        try:
            return self.town.run(command_of(text), "yan")
        except Refused as refused:
            self.watch.complain(f"{text} was refused: {refused.what}")

    def _converge(self) -> None:
        """Another release and a retirement: one fleet is left, which serves, and nothing of what was before."""
        for text in ("release v5 at-once accept-drift", "retire"):
            ended = self._carefully(text)
            if ended and ended.ending is not Ending.SUCCEEDED:
                self.watch.complain(f"{text} ended {ended.ending}: {ended.reason}")
                return
        versions = [group.launch.version.name for group in self.town.cloud.groups.values()]
        if versions != ["v5"]:
            self.watch.complain(f"left in the end: {versions}")
        self.judge.pins("in the end")
        kept = self.town.cloud.sticky_seconds, self.town.cloud.kept_sticky_seconds
        if self.plot.before == "sticky" and kept != (STICKY_SECONDS, 0) and not self._may_be_lost:
            self.watch.complain(f"clients were kept for {STICKY_SECONDS} s, and now for {kept}")

    @property
    def _may_be_lost(self) -> bool:
        """A way home is taken although its tag could not be written, which is told."""
        told = [getattr(event, "reason", "") for life in self.lives for event in life.shop.events]
        return any("is lost, set it again by hand" in text for text in told)


def _waits(shop: FakeShop) -> bool:
    return bool(shop.events) and isinstance(shop.events[-1], Progress) and shop.events[-1].reason.startswith("paused")
