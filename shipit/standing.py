"""What is written down about one app and environment: who acts, towards which goal, what others asked, what is frozen.

The record of field notes E1, as values. It is read anew before each write of traffic; losing it loses comfort and the order
between two releases, never a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from fractions import Fraction

from shipit.model import Version
from shipit.value import value

LEASE_SECONDS = 60.0
# The phase of a holder that has heard that it is called off, and ends what it is doing: Packer needs a while for that.
CALLED_OFF = "called off, on the way home"
# Clocks of two machines may differ this much: a lease is taken over only so long after it ended, and its holder stops to
# write so long before.
SKEW_SECONDS = 10.0


@value()
class Holder:
    """Who acts, or acted last. `mark` is the process on its machine (`machine.mark`), `id` its own for every lease.

    `fence` grows with every holder and never starts anew; it is 0 until the lease has been taken.
    """

    id: str
    command: str
    version: str
    who: str
    where: str
    mark: str
    since: datetime
    until: datetime
    fence: int = 0
    phase: str = ""


@value()
class Aim:
    """A goal as it is written down: enough for another process to go on with it.

    `schedule` is as `schedule.parse_schedule` reads it. `home` is the fleet that served before, empty when none did; traffic
    goes there when the goal has to be given up. `fleet` empty means that nothing is to serve. `retreat` is the way back
    after a failure, with its reason in `why`; `discard` are fleets that are to go.
    """

    version: Version
    fleet: str
    image_id: str = ""
    digest: str = ""
    schedule: str = "100%"
    home: str = ""
    staged: bool = False
    instant: bool = False
    retire_parked: bool = False
    keep_failed: bool = False
    auto_rollback: bool = True
    hand_over: bool = False
    smoke: bool = False
    retreat: bool = False
    why: str = ""
    discard: tuple[str, ...] = ()


@value()
class Orders:
    """What others asked of the release that runs. They hold for one holder, and for who goes on after it.

    `paused`: no share grows until promoted. `promoted`: holds up to this percent are over. `share`: stay at this percent.
    `recall` is set when another command made a fleet serve, or is about to: the fleet's name, empty for what served before.
    """

    paused: bool = False
    promoted: Fraction | None = None
    share: Fraction | None = None
    recall: str | None = None
    by: str = ""


@value()
class Freeze:
    """Nobody may release: why, who said so, and since when."""

    reason: str
    who: str
    at: datetime


@value()
class Written:
    """The split that shipit wrote last, and when; `intent` is the one it was about to write."""

    weights: Mapping[str, int] = field(default_factory=dict)
    at: datetime | None = None
    intent: Mapping[str, int] | None = None


@value()
class Standing:
    """All of it. `holder` None means that nobody holds the lease; `aim` stays after a stop, for whoever goes on."""

    fence: int = 0
    holder: Holder | None = None
    aim: Aim | None = None
    orders: Orders = field(default_factory=Orders)
    written: Written = field(default_factory=Written)
    freeze: Freeze | None = None
