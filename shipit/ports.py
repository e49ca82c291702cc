"""The few seams through which a release reaches the world, as Protocols; the official fakes are in tests/fakes.

Every writing method may be called twice, reads back what it wrote, and accepts that an earlier try took effect although it
reported an error. All raise `errors.ShipitError` and nothing else. Names are fleet names, never ARNs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from shipit.counts import Count
from shipit.events import Ended, Steered
from shipit.model import Exposure, Fleet, Image, Pin, Route, Split, Version
from shipit.standing import Aim, Freeze, Holder, Orders, Standing, Written
from shipit.value import value


class Clock(Protocol):
    """Time, and the only way to let it pass."""

    def now(self) -> datetime: ...

    def sleep(self, seconds: float) -> None:
        """Waits; raises `errors.Stopped` at once when the user asks to stop."""


@value()
class Launch:
    """What a fleet is to be: everything but the settings that the whole environment shares."""

    name: str
    version: Version
    image_id: str
    digest: str
    size: int


class Fleets(Protocol):
    """Fleets of one app and environment: launch templates, target groups, Auto Scaling groups."""

    def observe(self, also: Sequence[str] = ()) -> Mapping[str, Fleet]:
        """All fleets that tags prove to be this app's and environment's, by name, without target health.

        `also` names fleets to look for even where only a part of one exists (a launch that was cut short).
        """

    def strays(self, older_than: datetime) -> Sequence[str]:
        """Names of fleets of which a launch that was cut short left parts but no group, begun before that time."""

    def with_health(self, fleet: Fleet) -> Fleet:
        """The fleet with its targets' health and, where nothing is healthy, its last launch failure."""

    def launch(self, launch: Launch) -> None:
        """Makes whatever is missing of the fleet: template, target group, group, in that order."""

    def resize(self, name: str, size: int) -> None:
        """Sets the desired capacity, and MinSize or MaxSize where they are in its way."""

    def pin(self, name: str, pin: Pin) -> None:
        """Keeps the capacity from falling: the old values are stored in a tag first, then MinSize is raised to desired."""

    def unpin(self, name: str) -> str:
        """Puts back what pinning changed; what somebody else changed since stays, and is told in words."""

    def expose(self, name: str, exposure: Exposure) -> None:
        """Tags how much the fleet has served: written before it gets its first request, and again when it had all."""

    def park(self, name: str, until: datetime, floor: int) -> None:
        """Keeps it warm until then; after that its own scheduled action shrinks it to `floor`, with or without shipit."""

    def unpark(self, name: str) -> None:
        """Cancels that."""

    def keep(self, name: str, until: datetime) -> None:
        """Keeps a failed fleet to be looked at: tagged, and its sick instances are neither ended nor replaced until then."""

    def drain(self, name: str) -> None:
        """Sets it to zero: targets are deregistered, drained, then terminated. The caller has proved that it is idle."""

    def delete(self, name: str, *, at_once: bool) -> bool:
        """Deletes group, target group and template, as far as that goes now; True when nothing is left.

        `at_once` ends instances without draining: only for a fleet that never had a request.
        """

    def last_words(self, instance_id: str) -> Sequence[str]:
        """The last lines of the instance's console; empty when there are none."""


class Traffic(Protocol):
    """The one listener action, or rule, that is shifted."""

    def observe(self) -> Route:
        """What it does now, read anew."""

    def shift(self, split: Split, expected: Split) -> Route:
        """Sets the weights of our fleets in one write, keeps everything else, and returns what it reads back.

        Reads right before it writes, and raises `errors.Drifted` when the shares are neither those of `expected` nor those
        wanted: somebody else moved traffic. A write that was reported as failed is read back before it is tried again. Where
        shares move, clients are not kept on their target group any more.
        """

    def keep_stickiness(self, seconds: int) -> None:
        """Writes down, beside the action, for how long it keeps clients on their target group, before a shift ends that."""

    def restore_stickiness(self, name: str) -> None:
        """Keeps clients on their target group again as it did before, and leaves this fleet, which has everything, alone in the
        action: a cookie for another one would lead there, whatever its weight.
        """

    def keep_aside(self, name: str) -> None:
        """Names the fleet in a rule that no request meets, so that it is health checked outside the action."""

    def leave_aside(self, name: str) -> None:
        """Removes that rule, if there is one."""

    def open_preview(self, name: str) -> None:
        """Makes requests with the preview header go to this fleet alone, and so starts its health checks."""

    def close_preview(self) -> None:
        """Removes the preview rule, if there is one."""


class Images(Protocol):
    """AMIs of this app."""

    def by_fingerprint(self, fingerprint: str) -> Image | None: ...

    def by_id(self, image_id: str) -> Image | None: ...

    def all(self) -> Sequence[Image]:
        """This app's images, newest first."""


class Baker(Protocol):
    """Commit in, image out."""

    def find(self, version: Version) -> Image | None:
        """The image that already is this commit, with the same template, scripts and source image."""

    def bake(self, version: Version) -> Image:
        """That image, or a new one. Raises `errors.BakeError`."""


class Record(Protocol):
    """One item for what stands now, and the history. Losing it loses comfort, never safety.

    Every write is conditional. `Held`, `LeaseLost` and `Refused` are answers; any other `ShipitError` means that the record
    could not be reached, and that what was asked for may or may not have happened. `kept` is False where nothing is.
    """

    kept: bool

    def read(self) -> Standing:
        """What stands now; an empty `Standing` when nothing was ever written."""

    def take(
        self,
        holder: Holder,
        *,
        dead: Callable[[Holder], bool],
        keep_orders: bool = False,
        written: Written | None = None,
        aim: Aim | None = None,
    ) -> Standing:
        """The lease for `holder`, with the next fence, until `holder.until`. Makes the table where there is none.

        Raises `errors.Held` while somebody else's lease runs, and `SKEW_SECONDS` longer, unless `dead` says that its process
        is known to have ended. Taking it twice with the same `holder.id` is taking it once. Orders are dropped unless kept;
        `written` and `aim` are what was done, and begun, before the lease was asked for.
        """

    def renew(
        self, holder: Holder, until: datetime, written: Written | None = None, aim: Aim | None = None
    ) -> Standing:
        """Prolongs the lease and writes down phase, split and goal along with it; answers with all that stands.

        Raises `errors.LeaseLost` when the lease is somebody else's, or nobody's, by now.
        """

    def free(self, holder: Holder, aim: Aim | None, written: Written | None = None) -> None:
        """Gives the lease back; `aim` is what whoever comes next may resume. A lease that is lost already is no error."""

    def order(self, orders: Orders, fence: int) -> bool:
        """Leaves orders for the holder with this fence; False when that one is no longer at it, or is called off already."""

    def freeze(self, freeze: Freeze) -> None:
        """Raises `errors.Refused` when it is frozen already, saying by whom."""

    def unfreeze(self) -> bool:
        """False when it was not frozen."""

    def append(self, event: Ended | Steered) -> None: ...

    def history(self, limit: int) -> Sequence[Ended | Steered]:
        """Newest first."""


@value()
class Alarm:
    """An alarm of CloudWatch. `complete` is False where it was evaluated on a part of its data; `window_seconds` is how far back it
    looks, 0 where it does not say so itself.
    """

    name: str
    state: str
    reason: str = ""
    complete: bool = True
    window_seconds: float = 0.0


@value()
class Query:
    """One metric by an id of ours, with exactly the dimensions that it is published with."""

    id: str
    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    stat: str


class Metrics(Protocol):
    """What the load balancer and CloudWatch count. Periods begin at whole multiples of `period_seconds`; what is younger than
    `lag_seconds` may not be published yet, and is not read. Where nothing was published there is no value.
    """

    period_seconds: int
    lag_seconds: float

    def answered(self, fleet: str, start: datetime, end: datetime) -> Mapping[datetime, Count]:
        """Requests of each period from `start` on, before `end`; how many failed: answers with 5xx, refused connections; and how many
        were not answered.
        """

    def slower(self, fleet: str, seconds: float, start: datetime, end: datetime) -> Mapping[datetime, Count]:
        """Answers of each period, and how many took longer than that."""

    def percentile(self, fleet: str, rank: float, start: datetime, end: datetime) -> float | None:
        """The response time in seconds that so many percent of the answers did not exceed; None without answers."""

    def values(
        self, queries: Sequence[Query], expression: str | None, start: datetime, end: datetime
    ) -> Mapping[datetime, float]:
        """The only metric, or what the expression makes of them, by period."""

    def try_out(self, queries: Sequence[Query] = (), expression: str | None = None) -> None:
        """Raises `errors.CloudError` for what can not be asked: a period, a statistic, an expression; no permission. Without queries
        the load balancer's own counts are tried.
        """

    def places(self, green: str, blue: str) -> Mapping[str, str]:
        """`green`, `blue` and `load_balancer` as dimensions name them."""

    def alarms(self, names: Sequence[str]) -> Mapping[str, Alarm]:
        """Those that exist, metric and composite."""

    def alarm_names(self) -> Sequence[str]:
        """All that there are, for somebody who misspelt one."""


class Control(Protocol):
    """What others ask of the release that runs, and what it writes down about itself."""

    def orders(self) -> Orders:
        """As they stood at most a second ago."""

    def tell(self, *, phase: str = "", written: Written | None = None, aim: Aim | None = None) -> None:
        """Notes it down with the next renewal, and in any case before the next write of traffic."""


@value()
class SourceQuery:
    """Which AMI to build on: by id, or the newest available one with this name pattern, of these owners."""

    id: str | None
    name: str | None
    owners: Sequence[str]
    architecture: str


class BakeImages(Images, Protocol):
    """What a bake does with AMIs, besides reading them."""

    def source(self, query: SourceQuery) -> str:
        """Id of the AMI to build on."""

    def by_name(self, name: str) -> Image | None:
        """Our own AMI of that name, in whatever state; the name is unique in an account and region."""

    def tag(self, image_id: str, tags: Mapping[str, str]) -> None:
        """Tags the image and its snapshots; a tag that is there already stays as it is."""

    def settle(self, image_id: str, patience_seconds: float, told: Callable[[str], None]) -> Image:
        """Waits until it is available. Raises `errors.BakeError` with AWS's reason when it failed or takes too long."""

    def discard(self, image_id: str) -> None:
        """Deregisters an image that failed, with its snapshots: it would keep its name for ever."""


class Builders(Protocol):
    """The machines on which images are made, what is made along with them, and how a child process may make them."""

    def endpoint(self) -> str | None:
        """Where EC2 is when it is not AWS's own place for the region."""

    def region(self) -> str: ...

    def credentials(self) -> Mapping[str, str]:
        """Environment that gives a child process the credentials we use ourselves."""

    def marks(self, fingerprint: str) -> Sequence[str]:
        """Marks of the builders that are making the image with this fingerprint right now."""

    def claim(self, mark: str, groups: Sequence[str]) -> None:
        """Marks security groups, given by name, as made for this bake; those that do not exist (yet) are passed over."""

    def sweep(self, ours: Callable[[str], bool]) -> Sequence[str]:
        """Removes builders, key pairs and security groups whose mark `ours` holds for; returns what was removed."""
