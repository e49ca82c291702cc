"""The invariants of the design, looked after at every write and every second."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from shipit.model import Split
from shipit.release.judge import needed_healthy
from shipit.standing import Standing
from tests.fakes.cloud import START, FakeCloud, Group
from tests.fakes.shop import FakeShop, Town, Watcher
from tests.release.faults import healthy

FOREIGN = {"legacy": 0}
# What a command that takes the lease only afterwards may send before, and take back: it waits for nobody. What is to serve may also
# grow then.
FLIP = frozenset({"shift", "unpark", "park", "expose", "keep_stickiness", "resize"})
SHRINKING = frozenset({"park", "drain", "delete", "keep"})


class Watch(Watcher):
    """Complains, in words, of whatever shipit must never do. `hurt` are fleets that something else has harmed: that those
    cannot serve is not shipit's doing, until they are whole again.
    """

    def __init__(self, town: Town) -> None:
        self.town = town
        self.cloud: FakeCloud = town.cloud
        self.complaints: list[str] = []
        self.hurt: set[str] = set()
        self.idle_since: dict[str, datetime] = {}
        self.seen_serving: dict[tuple[str, str], datetime] = {}
        self.served = False
        self.windows = 0
        self.ever_served: set[str] = set()
        self.flips: list[tuple[FakeShop, Split]] = []

    def complain(self, text: str) -> None:
        if text not in self.complaints:
            self.complaints.append(text)

    # Called by the town

    def looked(self, shop: FakeShop, split: Split) -> None:
        self.seen_serving |= {(shop.who, name): self.town.turns.now for name in split.serving}

    def allowed(self, shop: FakeShop, call: str, about: str) -> None:
        """8: at most one holder acts. Its lease is looked at as the write leaves: the cloud takes no fencing number."""
        lease = shop.lease
        if not lease.held:
            if call not in FLIP and not self._without_record(shop):
                self.complain(f"8: {shop.who} sends {call} without the lease")
            return
        standing: Standing = self.town.record.standing if self.town.kept else Standing()
        mine, there = lease._holder, standing.holder
        if self.town.kept and mine and mine.fence and (there is None or there.id != mine.id):
            self.complain(f"8: {shop.who} sends {call} after it lost the lease")

    def before(self, shop: FakeShop, call: str, given: Sequence[Any]) -> None:
        if call == "shift":
            self.ever_served |= {*self._serving(), *given[0].serving}
            if given[0].serving != Split(self.cloud.weights).serving:
                self.flips.append((shop, given[0]))
            self._judge_split(shop, given[0])
        elif call in ("resize", *SHRINKING):
            self._judge_shrinking(shop, call, *given)
        elif call == "unpin" and self.town.kept and len(self._serving()) > 1 and self.cloud.weights.get(given[0]):
            self.complain(f"3: {shop.who} unpins {given[0]} while a canary has a share")

    def after(self, shop: FakeShop, call: str, given: Sequence[Any]) -> None:
        if call == "shift":
            self.note_idle()
            self._judge_pins(shop)
        if self.cloud.foreign != FOREIGN:
            self.complain(f"6: {shop.who} changed somebody else's target groups")
        self.look_after_users()

    def each_second(self) -> None:
        self.cloud._live()
        self.note_idle(by_hand=True)
        self.look_after_users()

    def look_after_users(self) -> None:
        """1 and 4: every fleet with a share can serve, and once somebody serves, somebody always does."""
        serving = self._serving()
        self.served = self.served or bool(serving)
        if self.served and not serving:
            self.complain("1: nobody serves")
        for name in serving:
            well = name in self.cloud.groups and self._healthy(name)
            if well and name in self.hurt and self._healthy(name) >= self.cloud.groups[name].desired:
                self.hurt.discard(name)
            if not well and name not in self.hurt:
                self.complain(f"4: {name} has a share and nobody healthy")

    def note_idle(self, *, by_hand: bool = False) -> None:
        """Since when each fleet has no share. What a hand gave one counts from when shipit has seen it."""
        for name in self.cloud.groups:
            if not self.cloud.weights.get(name):
                self.idle_since.setdefault(name, self.town.turns.now)
            elif not by_hand:
                self.idle_since.pop(name, None)

    # The rules

    def _judge_split(self, shop: FakeShop, split: Split) -> None:
        now = Split(self.cloud.weights)
        for name in split.serving:
            there = name in self.cloud.groups  # else the write is refused
            if there and split.percent(name) > now.percent(name) and name not in self.hurt:
                fit = self._healthy(name)
                if fit < self._enough(shop, name):
                    self.complain(f"1: {shop.who} gives {name} a share with {fit} healthy")
        if len(split.weights) + len(self.cloud.foreign) > 5:
            self.complain("6: more than five target groups in the action")

    def _enough(self, shop: FakeShop, name: str) -> int:
        """All that it needs; one is enough on the way back from a failure."""
        aim = shop.lease.aim
        if aim is None or aim.retreat or aim.instant or aim.fleet != name:
            return 1
        others = [self.cloud.groups[other].desired for other in self._serving() if other != name]
        return needed_healthy(max(others, default=1), self.town.policy)

    def _judge_shrinking(self, shop: FakeShop, call: str, name: str, *rest: Any) -> None:
        group = self.cloud.groups.get(name)
        if group is None or (call == "resize" and rest[0] >= group.desired):
            return
        if self.cloud.weights.get(name) and shop.just_saw is not None and not shop.just_saw.get(name):
            self.windows += 1  # moved between that look and this write: the cloud takes no fencing number
            self.hurt.add(name)
        elif self.cloud.weights.get(name):
            self.complain(f"2: {shop.who} sends {call} for {name}, which serves")
        if call == "drain" and name in self.ever_served and not self._settled(shop, name, group):
            self.complain(f"3: {shop.who} drains {name} before it has settled")
        if call == "delete" and rest[0] and name in self.ever_served:
            self.complain(f"7: {shop.who} ends {name} at once, which has served")

    def _settled(self, shop: FakeShop, name: str, group: Group) -> bool:
        """It lost its requests long enough ago, by a write of ours, or by a hand whose doing has been seen."""
        moments = (self.idle_since.get(name), self.seen_serving.get((shop.who, name)))
        since = max((moment for moment in moments if moment), default=START)
        settle = timedelta(seconds=self.town.policy.settle_seconds)
        return group.leaving or self.town.turns.now - since >= settle

    def _judge_pins(self, shop: FakeShop) -> None:
        """3: while a canary has a share, nothing makes the fleet smaller that served before."""
        serving = [name for name in self._serving() if name in self.cloud.groups]
        if len(serving) > 1 and self.town.kept:
            for name in serving:
                if self.cloud.groups[name].pin is None:
                    self.complain(f"3: {shop.who} shifts traffic while {name} is not pinned")

    # Looking

    def _without_record(self, shop: FakeShop) -> bool:
        return not self.town.kept or any("record could not be reached" in getattr(e, "text", "") for e in shop.events)

    def _serving(self) -> list[str]:
        return [name for name, weight in self.cloud.weights.items() if weight > 0]

    def _healthy(self, name: str) -> int:
        return healthy(self.cloud, name)
