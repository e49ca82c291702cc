"""What befalls an operator at a point of its way, or the world around it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shipit import machine
from shipit.errors import CloudError
from tests.fakes.cloud import START
from tests.fakes.shop import FakeShop, Town
from tests.fakes.turns import Hand, Killed
from tests.model.plot import Twist
from tests.model.watch import Watch

ERRORS = ("InternalFailure", "Throttling", "RequestTimeout")
NO_PROCESS = 2**22 + 1  # one more than Linux gives out


class Twister:
    """Lets twists happen. `touched` says that something other than shipit changed the world."""

    def __init__(self, town: Town, watch: Watch) -> None:
        self.town, self.watch = town, watch
        self.touched = False
        self.suspended_in_flight = False
        self.deaf_until = START

    def happen(self, twist: Twist, hand: Hand, name: str) -> None:
        """Raises what the call, or the process, gets."""
        self._act(twist, self.town.shop_of(hand), hand, name)

    def _act(self, twist: Twist, shop: FakeShop, hand: Hand, name: str) -> None:
        match twist.what:
            case "switch":
                self.town.turns.yield_turn(hand)
            case "die":
                self.die(shop, hand, seen=bool(twist.number))
            case "fail" if name != "sleep":
                code = ERRORS[twist.number % len(ERRORS)]
                raise CloudError("AWS refused", f"{code}: try later", code=code)
            case "suspend":
                self.suspended_in_flight |= name.endswith("in flight")
                if not self.town.kept:
                    # Between its look and its write it cannot be told to stop: the abort of a first release may have closed the
                    # preview by then, and with it the health checks (docs/reliability.md: `record: none`).
                    self.watch.hurt |= set(self.town.cloud.groups)
                self.town.turns.suspend(hand, twist.number)
            case "stop":
                shop.clock.stop()
            case "deaf" if self.town.kept:
                self.town.record.down = CloudError("DynamoDB did not answer", "timed out", code="RequestTimeout")
                self.deaf_until = self.town.turns.now + timedelta(seconds=twist.number)
            case _:
                self._harm(twist)

    def die(self, shop: FakeShop, hand: Hand, *, seen: bool) -> None:
        """`seen`: on the machine on which the others run as well, so that they can see that it has ended."""
        standing = self.town.record.standing if self.town.kept else None
        holder, mine = (standing.holder if standing else None), shop.lease._holder
        if seen and standing and holder and mine and holder.id == mine.id:
            gone = replace(holder, mark=f"{machine.host()}:{NO_PROCESS}:1")
            self.town.record.standing = replace(standing, holder=gone)
        hand.dead = True
        raise Killed

    def each_second(self) -> None:
        self.watch.each_second()
        if self.town.kept and self.town.record.down and self.town.turns.now >= self.deaf_until:
            self.town.record.down = None

    def heal(self) -> None:
        """All troubles are over; what was done stays done."""
        self.town.cloud.sick.clear()
        if self.town.kept:
            self.town.record.down = None
            self.town.record.unfreeze()

    def _harm(self, twist: Twist) -> None:
        cloud, names = self.town.cloud, sorted(self.town.cloud.groups)
        if twist.what == "sick":
            self._sicken(f"v{twist.number}")
        elif twist.what == "well":
            cloud.sick.clear()
        elif names and twist.what in ("edit", "delete", "end"):
            name = names[twist.number % len(names)]
            {"edit": self._edit, "delete": self._delete, "end": self._end}[twist.what](name)

    def _sicken(self, version: str) -> None:
        self.town.cloud.sick.add(version)
        groups = self.town.cloud.groups.items()
        self.watch.hurt |= {name for name, group in groups if group.launch.version.name == version}

    def _edit(self, name: str) -> None:
        """Somebody who knows what he does: the fleet he chooses has instances."""
        cloud = self.town.cloud
        if not cloud.groups[name].machines or not any(cloud.weights.values()):
            return
        self.touched = True
        cloud.weights = {**dict.fromkeys(cloud.weights, 0), name: 100}
        self.watch.hurt.add(name)
        self.watch.note_idle(by_hand=True)

    def _delete(self, name: str) -> None:
        """The console does not delete a target group that a rule names with a weight; nor would anybody."""
        cloud = self.town.cloud
        if cloud.weights.get(name):
            return
        self.touched = True
        cloud.weights.pop(name, None)
        cloud.preview = None if cloud.preview == name else cloud.preview
        cloud.aside.discard(name)
        del cloud.groups[name]
        self.watch.ever_served.discard(name)

    def _end(self, name: str) -> None:
        self.watch.hurt.add(name)
        del self.town.cloud.groups[name].machines[:1]
