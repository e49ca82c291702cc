"""The ports of one process in the town: every call is a point at which others may act, every write asks the lease first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from shipit.errors import CloudError, NotFound, ShipitError
from shipit.model import Image, Route, Split
from shipit.release.guard import refuse_drift
from tests.fakes.cloud import FakeCloud, TrafficView

if TYPE_CHECKING:
    from tests.fakes.shop import FakeShop

CLOUD_WRITES = frozenset(
    {"launch", "resize", "pin", "unpin", "expose", "park", "unpark", "keep", "drain", "delete"}
    | {"open_preview", "close_preview", "keep_stickiness", "restore_stickiness"}
    | {"keep_aside", "leave_aside", "bake"}
)
RECORD_WRITES = frozenset({"take", "renew", "free", "order", "freeze", "unfreeze", "append"})
TRAFFIC_ATTEMPTS = 6
# What the balancer may answer although it has done what was asked.
UNSURE = frozenset({"InternalFailure", "RequestTimeout"})


class CloudPort:
    """A port whose every call is a point at which others may act; writes ask the lease first."""

    def __init__(self, shop: FakeShop, port: Any) -> None:
        self._shop, self._port = shop, port

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        def call(*given: Any, **named: Any) -> Any:
            self._shop.town.turns.point(name)
            if name not in CLOUD_WRITES:
                self._shop.just_saw = None
                return method(*given, **named)
            return self._shop.write(name, [*given, *named.values()], lambda: method(*given, **named))

        self.__dict__[name] = call
        return call


class RecordPort:
    """The record, as one process reaches it: from its command, or from the thread that keeps the lease."""

    def __init__(self, shop: FakeShop, record: Any) -> None:
        self._shop, self._record, self.kept = shop, record, record.kept

    def __getattr__(self, name: str) -> Any:
        method, shop = getattr(self._record, name), self._shop

        def call(*given: Any, **named: Any) -> Any:
            turns = shop.town.turns
            if turns.current is not shop.hand or not self.kept:
                return method(*given, **named)
            shop.in_record = True
            try:
                turns.point(f"record.{name}")
                answer = method(*given, **named)
                if name in RECORD_WRITES:
                    turns.point(f"record.{name}: after")
            finally:
                shop.in_record = False
            return answer

        self.__dict__[name] = call
        return call


class FakeTraffic:
    """Implements `ports.Traffic` for one process, call by call as `AwsTraffic` does: reads, writes, reads back, tries again."""

    def __init__(self, shop: FakeShop) -> None:
        self._shop, self._cloud = shop, shop.town.cloud
        view: Any = CloudPort(shop, TrafficView(self._cloud))
        self._look, self.open_preview, self.close_preview = view.observe, view.open_preview, view.close_preview
        self._keep_stickiness, self._restore_stickiness = view.keep_stickiness, view.restore_stickiness
        # The tag as this process has read it, and for which state of the action; and what it knows itself.
        self._tag, self._known = 0, 0
        self._tagged: object = None
        self.keep_aside, self.leave_aside = view.keep_aside, view.leave_aside

    def observe(self) -> Route:
        route: Route = self._look()
        self._shop.just_saw = dict(route.split.weights)
        self._shop.town.watcher.looked(self._shop, route.split)
        state = dict(route.split.weights), route.sticky_seconds
        if state != self._tagged:
            self._tag, self._tagged = route.kept_sticky_seconds, state
        kept = self._tag or (0 if route.sticky_seconds else self._known)
        return replace(route, kept_sticky_seconds=kept)

    def keep_stickiness(self, seconds: int) -> None:
        self._keep_stickiness(seconds)
        self._tag = self._known = seconds

    def restore_stickiness(self, name: str) -> None:
        route = self.observe()
        self._cloud.kept_sticky_seconds = route.kept_sticky_seconds
        self._restore_stickiness(name)
        self._tag = 0

    def shift(self, split: Split, expected: Split) -> Route:
        failure: ShipitError | None = None
        for attempt in range(TRAFFIC_ATTEMPTS):
            before = self.observe().split
            if dict(before.weights) == dict(split.weights):
                return self.observe()
            refuse_drift((expected, split), _seen(before))
            failure = self._try(split)
            if failure is None or getattr(failure, "code", "") in UNSURE:
                route = self.observe()
                if dict(route.split.weights) == dict(split.weights):
                    return route
            if isinstance(failure, NotFound):
                raise failure
            self._shop.clock.sleep(min(5.0, 0.2 * 2**attempt))
        raise failure or CloudError("the listener does not show the weights that were written", "", "shipit status")

    def _try(self, split: Split) -> CloudError | None:
        try:
            self._shop.write("shift", [split], lambda: self._set(split))
        except CloudError as failure:
            return failure
        return None

    def _set(self, split: Split) -> None:
        gone = [name for name in split.weights if name not in self._cloud.groups]
        if gone:
            raise NotFound(f"there is no target group {gone[0]}", "TargetGroupNotFound", code="TargetGroupNotFound")
        self._cloud.writes.append("shift " + " ".join(f"{name}={weight}" for name, weight in split.weights.items()))
        self._cloud.set_weights(split)


@dataclass
class FakeImages:
    """Implements `ports.Images`."""

    cloud: FakeCloud

    def by_id(self, image_id: str) -> Image | None:
        return self.cloud.images.get(image_id)

    def all(self) -> Sequence[Image]:
        return tuple(reversed(self.cloud.images.values()))


def _seen(split: Split) -> Any:
    return SimpleNamespace(split=split)
