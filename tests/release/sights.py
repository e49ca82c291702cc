"""Words for hand-built facts: what a look at AWS may show, without any cloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from shipit.model import Exposure, Fleet, Image, Instance, Observed, Pin, Route, Split, TargetState, Version
from shipit.release.goal import Goal, release_goal
from shipit.schedule import parse_schedule
from tests.fakes.cloud import START

NOW = START
DIGEST = "d1"
HEALTHY, SICK = TargetState.HEALTHY, TargetState.UNHEALTHY


def version(name: str) -> Version:
    return Version(name, name.encode().hex().ljust(40, "0")[:40])


def image(name: str) -> Image:
    return Image(f"ami-{name}", version(name), f"print-{name}")


def instances(name: str, count: int, state: TargetState | None = HEALTHY, lifecycle: str = "InService") -> Any:
    return tuple(Instance(f"i-{name}{number}", lifecycle, target=state) for number in range(count))


def fleet(name: str, size: int = 2, state: TargetState | None = HEALTHY, **changes: Any) -> Fleet:
    """A fleet called `hello-NAME` of version NAME, with all its instances in service."""
    made = Fleet(
        f"hello-{name}",
        version(name),
        f"ami-{name}",
        DIGEST,
        min_size=size,
        max_size=2 * size,
        desired=size,
        instances=instances(name, size, state),
        exposure=Exposure.ALL,
        created_at=NOW - timedelta(days=1),
    )
    return replace(made, **changes)


def parked(name: str, minutes: float = 50, **changes: Any) -> Fleet:
    until = NOW + timedelta(minutes=minutes)
    return fleet(name, **{"parked_until": until, "pin": Pin(1), **changes})


def shrunk(name: str, **changes: Any) -> Fleet:
    return parked(name, minutes=-5, size=0, **changes)


def seen(
    *fleets: Fleet,
    split: Mapping[str, int] | None = None,
    since: datetime | None = NOW - timedelta(hours=1),
    trusted: tuple[str, ...] = (),
    **route: Any,
) -> Observed:
    """What was seen: `split` has weights by version name."""
    weights = {f"hello-{name}": weight for name, weight in (split or {}).items()}
    names = frozenset(f"hello-{name}" for name in trusted)
    return Observed(Route(Split(weights), **route), {f.name: f for f in fleets}, since, names)


def goal(name: str, observed: Observed, schedule: str = "100%", *, baked: bool = True, **changes: Any) -> Goal:
    """The goal of `shipit release NAME`."""
    made = release_goal(version(name), image(name) if baked else None, DIGEST, observed, f"hello-{name}")
    return replace(made, stages=parse_schedule(schedule), **changes)


def percent(number: float | str) -> Fraction:
    return Fraction(str(number))
