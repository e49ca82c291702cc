"""The settings that the decision needs, in its own units."""

from __future__ import annotations

from shipit.value import value


@value()
class Policy:
    """How sure a release wants to be, and how long the way back is kept.

    `size` is the number of instances of a first fleet. `floor` is what a parked fleet shrinks to by itself: one where DNS
    evaluates target health, else none. `dip_seconds` is how long a fleet with a share may be short of healthy instances.
    `keep_fleets` is how many earlier fleets stay warm within `keep_seconds`. `gated`: gates decide when a hold is over;
    `hooked`: a hook runs before a fleet gets its first request.
    """

    size: int = 2
    health_percent: float = 100.0
    steady_seconds: float = 5.0
    deadline_seconds: float = 600.0
    keep_seconds: float = 3600.0
    keep_fleets: int = 1
    settle_seconds: float = 60.0
    dip_seconds: float = 30.0
    floor: int = 0
    poll_seconds: float = 2.0
    gated: bool = False
    hooked: bool = False
