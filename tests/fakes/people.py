"""What people in the town type and see, in words for tests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from typing import Any

from shipit import operations, steering
from shipit.choice import Manner, Wanted
from shipit.events import Ended, Steered
from tests.fakes.shop import FakeShop, Town

Command = Callable[[Any], Any]
SLOW = "5% 10m, 100%"


def release(version: str, schedule: str = "100%", **manner: Any) -> Command:
    return lambda shop: operations.release(shop, Wanted(version, schedule=schedule), Manner(**manner))


def stage(version: str, **manner: Any) -> Command:
    return lambda shop: operations.release(shop, Wanted(version, staged=True), Manner(**manner))


def resume(**manner: Any) -> Command:
    return lambda shop: operations.resume(shop, Manner(**manner))


def retire(shop: Any) -> Ended:
    return operations.retire(shop, Manner())


def abort(shop: Any) -> Ended:
    return operations.abort(shop)


def rollback(shop: Any) -> Ended:
    return operations.rollback(shop, None)


def promote(shop: Any) -> Steered | Ended:
    return steering.promote(shop, full=False)


def promote_fully(shop: Any) -> Steered | Ended:
    return steering.promote(shop, full=True)


def shift(percent: int) -> Command:
    return lambda shop: steering.shift(shop, Fraction(percent))


def freeze(shop: Any) -> Steered:
    return steering.freeze(shop, "audit")


class SmallTown(Town):
    """A town in which v1 serves; `begun` is a release that waits at a share."""

    def served_by(self, version: str) -> SmallTown:
        self.run(release(version))
        self.turns.pass_time(600)
        return self

    def begun(self, version: str, schedule: str = SLOW, at: int = 5, **manner: Any) -> FakeShop:
        """A release of that version has reached that share, and goes on whenever time passes."""
        shop = self.begin("ann", release(version, schedule, **manner))
        self.turns.play(lambda: self.share(version) == at or shop.ended)
        assert self.share(version) == at
        self.turns.pass_time(3)
        return shop

    def share(self, version: str) -> int:
        weights = self.cloud.weights
        names = [name for name, group in self.cloud.groups.items() if group.launch.version.name == version]
        return sum(100 * weights.get(name, 0) // sum(weights.values()) for name in names) if weights else 0

    @property
    def versions(self) -> list[str]:
        return sorted(group.launch.version.name for group in self.cloud.groups.values())

    def kill(self, shop: FakeShop) -> None:
        """`kill -9`."""
        assert shop.hand
        shop.hand.dead, shop.hand.wakes_at = True, self.turns.now
        self.turns.play(lambda: shop.ended)

    def stop(self, shop: FakeShop) -> None:
        """SIGSTOP."""
        assert shop.hand
        shop.hand.frozen, shop.hand.wakes_at = True, self.turns.now + timedelta(days=365)

    def wake(self, shop: FakeShop) -> None:
        """SIGCONT."""
        assert shop.hand
        shop.hand.frozen, shop.hand.wakes_at = False, self.turns.now

    def wait_for(self, shop: FakeShop) -> Any:
        """Until that command has ended; how it did."""
        self.turns.play(lambda: shop.ended)
        return shop.outcome()

    def notes(self, shop: FakeShop) -> str:
        return "\n".join(event.text for event in shop.events if event.kind == "note")
