"""What must be true of each command when it has ended, and of all of them once it is quiet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shipit.errors import ShipitError, Stopped
from shipit.events import Ended, Started
from shipit.model import Ending, Exposure, Split
from tests.fakes.shop import FakeShop, Town
from tests.model.plot import Order, Plot
from tests.model.twists import Twister
from tests.model.watch import Watch
from tests.release.faults import picture

CLEAN = (Ending.SUCCEEDED, Ending.FAILED_CLEAN)


@dataclass
class Life:
    """What is known of one operator when it began and when it ended."""

    shop: FakeShop
    order: Order
    picture: dict[str, Any]
    tidy: bool
    others: int
    alone: bool = True
    began_at: int = 0
    started_at: int | None = None


@dataclass
class Judge:
    """Complains to the watch of how commands ended."""

    plot: Plot
    town: Town
    watch: Watch
    twister: Twister

    def endings(self, lives: list[Life]) -> None:
        for life in lives:
            error = life.shop.hand.error if life.shop.hand else None
            if error and not isinstance(error, (ShipitError, Stopped)):
                self.watch.complain(f"{life.shop.who} raised {error!r}")

    def clean(self, life: Life) -> None:
        """5: as before; and no pin outlives a command that came to its end."""
        ended = next((e for e in life.shop.events if isinstance(e, Ended)), None)
        ending = ended.ending if ended else None
        left_to_another = ended is not None and ended.ending is Ending.SUCCEEDED and ended.reason != ""
        if ending not in CLEAN or not life.alone or self.twister.touched or left_to_another:
            return
        now = picture(self.town.cloud)
        exact = ending is Ending.FAILED_CLEAN and life.tidy and "keep-failed" not in str(self.plot)
        if exact and now != life.picture:
            self.watch.complain(f"5: {life.order.command} failed clean, but {difference(life.picture, now)}")
        if life.tidy or ending is Ending.SUCCEEDED:
            self.pins(f"after {life.order.command}")

    def pins(self, when: str) -> None:
        groups = self.town.cloud.groups
        serving = Split(self.town.cloud.weights).serving
        pinned = [name for name in serving if name in groups and groups[name].pin]
        if pinned and len(serving) == 1:
            self.watch.complain(f"pin: {pinned} {when}")

    def is_tidy(self) -> bool:
        cloud = self.town.cloud
        serving = Split(cloud.weights).serving
        young = any(group.exposure in (Exposure.NONE, Exposure.SOME) for group in cloud.groups.values())
        return len(serving) <= 1 and not cloud.preview and not young and not any(cloud.groups[n].pin for n in serving)

    def who_won(self, lives: list[Life]) -> None:
        """Once all is quiet, the fleet serves that an abort or rollback made serve, unless somebody wanted it otherwise."""
        callers = [life for life in lives if life.order.command.startswith(("abort", "rollback"))]
        if len(callers) != 1 or self.twister.touched or self.twister.suspended_in_flight:
            return
        caller = callers[0]
        ended = next((e for e in caller.shop.events if isinstance(e, Ended)), None)
        started = next((e for e in caller.shop.events if isinstance(e, Started)), None)
        others = [life for life in lives if life is not caller]
        if ended is None or started is None or ended.ending is not Ending.SUCCEEDED:
            return
        if self.plot.has("deaf") or "cannot be read" in ended.reason or "could not be told" in ended.reason:
            return
        if not self.plot.kept and all(shop is not caller.shop for shop, _ in self.watch.flips):
            return  # a release that is not seen yet cannot be told
        if any(not self._runs_before(life, caller) for life in others):
            return
        weights = {name: weight for name, weight in self.town.cloud.weights.items() if weight}
        if list(weights) != [started.fleet] and (weights or started.fleet):
            self.watch.complain(f"{caller.order.command} made {started.fleet} serve, but in the end {weights} do")

    def _runs_before(self, life: Life, caller: Life) -> bool:
        """A release that had begun: whoever begins one later wants something else."""
        releases = life.order.command.startswith(("release", "stage"))
        return releases and (life.started_at is None or life.started_at < caller.began_at)


def difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """What is not as it was."""
    fleets = {**before["fleets"], **now["fleets"]}
    changed = {n: (before["fleets"].get(n), now["fleets"].get(n)) for n in fleets}
    told = [f"{name}: {was} -> {is_}" for name, (was, is_) in changed.items() if was != is_]
    told += [
        f"{key}: {before[key]} -> {now[key]}"
        for key in ("weights", "preview", "aside", "sticky")
        if before[key] != now[key]
    ]
    return "; ".join(told)
