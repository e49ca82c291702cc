"""A town with one cloud and one record, and operators in it who type commands: the real ones, on `FakeShop` instead of `Shop`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from shipit.aws.record import NoRecord
from shipit.clock import SystemClock
from shipit.gate import NoGates
from shipit.hooks import NoHooks
from shipit.lease import Lease
from shipit.model import Split, Version
from shipit.release.engine import Engine
from shipit.release.outcome import Ports
from shipit.release.policy import Policy
from tests.fakes.calls import CloudPort, FakeImages, FakeTraffic, RecordPort
from tests.fakes.cloud import FakeClock, FakeCloud, FleetsView
from tests.fakes.record import FakeRecord
from tests.fakes.turns import Hand, Turns

APP, ENV, DIGEST = "hello", "production", "d1"


class TownClock(FakeClock):
    """Time as it passes for everybody."""

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self.turns = turns

    def now(self) -> Any:
        return self.turns.now

    def sleep(self, seconds: float) -> None:
        self.turns.sleep(seconds)


class OwnClock(SystemClock):
    """The clock of one process, which can be stopped and nudged."""

    def __init__(self, turns: Turns) -> None:
        super().__init__()
        self.turns = turns
        self.hand: Hand | None = None

    def now(self) -> Any:
        return self.turns.now

    def sleep(self, seconds: float) -> None:
        self._check()
        self.turns.sleep(seconds)
        self._check()

    def nudge(self) -> None:
        if self.hand:
            self.turns.nudge(self.hand)


class Watcher:
    """Is told of every write that somebody sends, right before and right after it takes effect."""

    def looked(self, shop: FakeShop, split: Split) -> None:
        """Somebody has seen who serves."""

    def allowed(self, shop: FakeShop, call: str, about: str) -> None:
        """The write has passed its guard."""

    def before(self, shop: FakeShop, call: str, given: Sequence[Any]) -> None: ...

    def after(self, shop: FakeShop, call: str, given: Sequence[Any]) -> None: ...


@dataclass
class Town:
    """The cloud, the record and the time that all operators share. `kept` False: nothing is written down."""

    policy: Policy = field(default_factory=Policy)
    schedule: str = "100%"
    kept: bool = True
    turns: Turns = field(default_factory=Turns)
    watcher: Watcher = field(default_factory=Watcher)
    gates: Any = None
    hooks: Any = None

    def __post_init__(self) -> None:
        self.clock = TownClock(self.turns)
        self.cloud = FakeCloud(clock=self.clock)
        self.record: Any = FakeRecord(self.clock) if self.kept else NoRecord()
        self.shops: list[FakeShop] = []
        self.turns.each_second = self.cloud._live

    def begin(self, who: str, command: Callable[[Any], Any]) -> FakeShop:
        """Somebody types a command; it is done when `turns` are played."""
        shop = FakeShop(self, who)
        shop.hand = shop.clock.hand = self.turns.begin(who, lambda: command(shop))
        shop.hand.beat = shop.beat
        self.shops.append(shop)
        return shop

    def run(self, command: Callable[[Any], Any], who: str = "ann") -> Any:
        """Somebody types a command and waits for its end; what it raises, it raises here."""
        shop = self.begin(who, command)
        self.turns.play(lambda: shop.ended)
        return shop.outcome()

    def shop_of(self, hand: Hand) -> FakeShop:
        return next(shop for shop in self.shops if shop.hand is hand)


class FakeShop:
    """What `wiring.Shop` is to the commands, for one operator of the town."""

    def __init__(self, town: Town, who: str) -> None:
        self.town, self.who, self.where = town, who, f"{who}'s machine"
        self.hand: Hand | None = None
        self.clock = OwnClock(town.turns)
        self.events: list[Any] = []
        self.hear = self.events.append
        self.launch_digest = DIGEST
        self.config = SimpleNamespace(app=APP, env=ENV, settings=_settings(town))
        self.session = SimpleNamespace(require_account=lambda wanted: None)
        self.repository = SimpleNamespace(resolve=version_of)
        self.in_record = False
        self.just_saw: dict[str, int] | None = None  # the split, where the last call has shown it
        self.end_programs = lambda: None
        self.record: Any = RecordPort(self, town.record)
        self.lease = Lease(
            self.record,
            self.clock.now,
            self.clock.sleep,
            town.turns.seconds,
            self.clock.nudge,
            in_background=False,
        )
        self.clock.watch = self.lease.check
        self.fleets: Any = CloudPort(self, FleetsView(town.cloud))
        self.baker: Any = CloudPort(self, town.cloud)
        self.images: Any = CloudPort(self, FakeImages(town.cloud))
        self.gates: Any = town.gates or NoGates()
        self.hooks: Any = town.hooks or NoHooks()
        ports = Ports(self.fleets, FakeTraffic(self), self.baker, self.clock, self.lease, self.gates, self.hooks)
        self.engine = Engine(ports, town.policy, self.hear, APP, ENV)

    def beat(self) -> None:
        """What the thread that keeps the lease does each second."""
        if not self.in_record and self.lease.held and self.town.record.kept:
            self.lease.beat()

    @property
    def ended(self) -> bool:
        return self.hand is not None and self.hand.ended

    def outcome(self) -> Any:
        """How its command ended; raises what the command raised."""
        assert self.hand
        if self.hand.error:
            raise self.hand.error
        return self.hand.result

    def write(self, call: str, given: Sequence[Any], act: Callable[[], Any]) -> Any:
        """A write to the cloud: it is guarded, is on its way for a moment, takes effect, and is answered."""
        point, watcher = self.town.turns.point, self.town.watcher
        self.lease.guard("ModifyListener" if call == "shift" else "Other")
        watcher.allowed(self, call, str(given[0]) if given else "")
        point(f"{call}: in flight")
        watcher.before(self, call, given)
        answer = act()
        watcher.after(self, call, given)
        point(f"{call}: after")
        return answer


def version_of(ref: str) -> Version:
    return Version(ref, hashlib.sha1(ref.encode()).hexdigest())


def _settings(town: Town) -> Any:
    health = SimpleNamespace(deadline_seconds=town.policy.deadline_seconds)
    return SimpleNamespace(account=None, traffic=SimpleNamespace(schedule=town.schedule), health=health)
