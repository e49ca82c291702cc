"""What the engine works with and what it comes back with."""

from __future__ import annotations

from dataclasses import field

from shipit.events import Phase
from shipit.gate import Gates, NoGates
from shipit.hooks import Hooks, NoHooks
from shipit.model import Ending, Fleet, Image, Observed, Verdict
from shipit.ports import Baker, Clock, Control, Fleets, Traffic
from shipit.release.goal import Goal
from shipit.value import value


@value()
class Ports:
    """The world, as the engine reaches it, and those who steer it."""

    fleets: Fleets
    traffic: Traffic
    baker: Baker
    clock: Clock
    control: Control
    gates: Gates = field(default_factory=NoGates)
    hooks: Hooks = field(default_factory=NoHooks)


@value()
class Outcome:
    """How it ended and why; `observed` is the last look, None where nothing could be seen; `phases` where the seconds went."""

    ending: Ending
    observed: Observed | None
    reason: str = ""
    next: str = ""
    phases: tuple[Phase, ...] = ()
    image: Image | None = None


@value()
class Arrival:
    """Where the way to a goal ended: `goal` may have found a fleet or an image on the way; `waits` for a person to go on."""

    verdict: Verdict
    goal: Goal
    observed: Observed
    waits: bool = False


def doomed(fleet: Fleet) -> str:
    """What happens to a parked fleet that serves unless its retirement is cancelled."""
    return f"{fleet.name} serves, AND AUTO SCALING ENDS ITS INSTANCES AT {fleet.parked_until:%H:%M} UTC"


def shares(observed: Observed) -> dict[str, float]:
    """Percent of the requests by version name, as the balancer has it."""
    result: dict[str, float] = {}
    for name in observed.split.serving:
        fleet = observed.fleets.get(name)
        label = fleet.version.name if fleet else name
        result[label] = result.get(label, 0.0) + float(observed.split.percent(name))
    return result
