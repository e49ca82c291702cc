"""Worlds, goals and policies for properties: everything that a look may show, also what nobody would wish to see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from shipit.model import (
    Exposure,
    FailureKind,
    Fleet,
    Instance,
    LaunchFailure,
    Observed,
    Pin,
    Route,
    Split,
    Stage,
    TargetState,
    Version,
)
from shipit.release.goal import Goal
from shipit.release.policy import Policy
from tests.release.sights import NOW

T = TypeVar("T", bound=Callable[..., Any])
NAMES = ("blue", "green", "red", "grey", "pink")
LIFECYCLES = ("Pending", "InService", "Terminating", "Terminating:Wait", "Standby", "Detaching", "Quarantined", "?")


def reproducible(examples: int) -> Callable[[T], T]:
    """The same examples wherever the same modules are loaded (Hypothesis takes constants of theirs), and no assertion on the
    wall clock.
    """
    return settings(
        max_examples=examples, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )


_moments = st.none() | st.integers(-7200, 7200).map(lambda seconds: NOW + timedelta(seconds=seconds))
_instances = st.lists(
    st.builds(
        Instance,
        id=st.integers(0, 99).map("i-{}".format),
        lifecycle=st.sampled_from(LIFECYCLES),
        group_healthy=st.booleans(),
        ours=st.booleans(),
        target=st.none() | st.sampled_from(TargetState),
        reason=st.sampled_from(["", "Target.Timeout"]),
    ),
    max_size=4,
    unique_by=lambda instance: instance.id,
).map(tuple)
_healthy = st.integers(1, 4).map(
    lambda count: tuple(Instance(f"i-{n}", "InService", target=TargetState.HEALTHY) for n in range(count))
)
_failures = st.none() | st.builds(LaunchFailure, st.sampled_from(FailureKind), st.just("AWS's own words"))
_fleets = st.builds(
    Fleet,
    name=st.just(""),
    version=st.just(Version("")),
    image_id=st.sampled_from(["ami-1", "ami-2", ""]),
    launch_digest=st.sampled_from(["d1", "d2"]),
    min_size=st.integers(0, 4),
    max_size=st.integers(4, 8),
    desired=st.integers(0, 6),
    instances=_instances | _healthy,
    whole=st.sampled_from([True, True, True, False]),
    leaving=st.sampled_from([False, False, False, True]),
    exposure=st.sampled_from(Exposure),
    parked_until=_moments,
    pin=st.none() | st.builds(Pin, st.integers(0, 4), st.sampled_from([(), ("AZRebalance",)])),
    created_at=_moments,
    failure=_failures,
)


@st.composite
def worlds(draw: Any) -> Observed:
    """Fleets of any state, some of them in the action, and perhaps groups in it whose fleet is gone or not ours."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True))
    fleets = {name: replace(draw(_fleets), name=name, version=Version(f"v-{name}")) for name in names}
    routed = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
    weights = {name: draw(st.sampled_from([0, 0, 1, 5, 50, 95, 100, 999])) for name in routed}
    foreign = draw(st.sampled_from([{}, {}, {"legacy": 0}, {"legacy": 0, "other": 0}]))
    route = Route(
        Split(weights),
        foreign,
        vacant=not weights and draw(st.booleans()),
        preview=draw(st.none() | st.sampled_from(names)) if names else None,
        aside=frozenset(draw(st.lists(st.sampled_from(names), unique=True, max_size=2))) if names else frozenset(),
        previewable=draw(st.booleans()),
        sticky_seconds=draw(st.sampled_from([0, 0, 600])),
        kept_sticky_seconds=draw(st.sampled_from([0, 0, 600])),
    )
    trusted = frozenset(draw(st.lists(st.sampled_from(names), unique=True))) if names else frozenset()
    return Observed(route, fleets, draw(_moments), trusted)


_schedules = st.sampled_from(
    [
        (Stage(Fraction(100)),),
        (Stage(Fraction(5), 30.0), Stage(Fraction(25), 60.0), Stage(Fraction(100))),
        (Stage(Fraction(1, 10)), Stage(Fraction(100))),
    ]
)


@st.composite
def goals(draw: Any) -> Goal:
    name = draw(st.sampled_from([*NAMES, "new", None]))
    return Goal(
        Version(f"v-{name}"),
        name,
        draw(st.sampled_from(["ami-1", "ami-2", None])),
        "d1",
        draw(_schedules),
        staged=draw(st.sampled_from([False, False, True])),
        instant=draw(st.booleans()),
        discard=frozenset(draw(st.lists(st.sampled_from(NAMES), max_size=2)) if draw(st.booleans()) else ()) - {name},
        retire_parked=draw(st.booleans()),
    )


POLICIES = st.builds(
    Policy,
    size=st.integers(1, 5),
    health_percent=st.sampled_from([100.0, 50.0, 1.0]),
    steady_seconds=st.sampled_from([0.0, 5.0]),
    keep_seconds=st.sampled_from([120.0, 3600.0]),
    keep_fleets=st.integers(0, 2),
    settle_seconds=st.sampled_from([0.0, 60.0]),
    floor=st.integers(0, 1),
)
