"""The words of shipit as frozen values: what is released, what is seen, and who serves how much.

Imports nothing but the standard library, so that everything else may import it. Times are aware UTC datetimes, shares are
percent of requests, weights are what the load balancer is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

from shipit.value import value


class Ending(StrEnum):
    """How a command ended; the exit code follows from it."""

    SUCCEEDED = "succeeded"
    SHIPPED_DIRTY = "shipped_dirty"
    FAILED_CLEAN = "failed_clean"
    FAILED_DIRTY = "failed_dirty"
    REFUSED = "refused"
    WAITING = "waiting"

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self]


EXIT_CODES: Mapping[Ending, int] = {
    Ending.SUCCEEDED: 0,
    Ending.FAILED_CLEAN: 1,
    Ending.FAILED_DIRTY: 3,
    Ending.SHIPPED_DIRTY: 4,
    Ending.REFUSED: 5,
    Ending.WAITING: 6,
}


@value()
class Version:
    """What is released: the name that a person used for it, and the commit it stands for.

    `commit` is 40 hex digits, or empty for an image that was not baked by shipit.
    """

    name: str
    commit: str = ""

    @property
    def short_commit(self) -> str:
        return self.commit[:12]


@value()
class Image:
    """An AMI. `fingerprint` names everything that went into it; empty when shipit did not bake it."""

    id: str
    version: Version
    fingerprint: str = ""
    state: str = "available"
    created_at: datetime | None = None


class TargetState(StrEnum):
    """States of DescribeTargetHealth; whatever AWS adds later reads as UNKNOWN and counts as not healthy."""

    INITIAL = "initial"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNUSED = "unused"
    DRAINING = "draining"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> TargetState:
        return cls.UNHEALTHY if str(value).startswith("unhealthy") else cls.UNKNOWN


@value()
class Instance:
    """One instance of a fleet: what its group says of it, joined with what its target group says."""

    id: str
    lifecycle: str
    group_healthy: bool = True
    ours: bool = True
    target: TargetState | None = None
    reason: str = ""
    description: str = ""

    @property
    def leaving(self) -> bool:
        return self.lifecycle.startswith(("Terminat", "Detach"))

    @property
    def serves(self) -> bool:
        """In service, launched from this fleet's own template, and healthy for both the group and the balancer."""
        in_service = self.lifecycle == "InService" and self.group_healthy and self.ours
        return in_service and self.target is TargetState.HEALTHY


@value()
class Pin:
    """What pinning changed on a group, so that it can be put back: its MinSize, and the processes suspended by us."""

    min_size: int
    suspended: tuple[str, ...] = ()


class Exposure(StrEnum):
    """How much a fleet has served since its launch: decides whether it may be rolled back to, and how it is ended.

    RETURNING is a fleet that has served everybody and arrives once more, by a canary.
    """

    NONE = "none"
    SOME = "some"
    RETURNING = "returning"
    ALL = "all"


@value()
class Fleet:
    """One version's launch template + target group + Auto Scaling group, under one name.

    `whole` is False when a part is missing (a launch or a retirement was cut short); `leaving` once shipit began to retire it
    or AWS to delete it. `failure` is the last failed scaling activity in AWS's words, with what kind of failure it is.
    """

    name: str
    version: Version
    image_id: str
    launch_digest: str = ""
    min_size: int = 0
    max_size: int = 0
    desired: int = 0
    instances: tuple[Instance, ...] = ()
    whole: bool = True
    leaving: bool = False
    exposure: Exposure = Exposure.NONE
    parked_until: datetime | None = None
    pin: Pin | None = None
    kept_until: datetime | None = None
    created_at: datetime | None = None
    failure: LaunchFailure | None = None

    @property
    def healthy(self) -> int:
        return sum(1 for instance in self.instances if instance.serves)

    @property
    def proven(self) -> bool:
        """It has served everybody: it may be gone back to."""
        return self.exposure in (Exposure.ALL, Exposure.RETURNING)

    @property
    def in_service(self) -> int:
        """Instances that the group calls in service, launched from this fleet's own template."""
        return sum(1 for instance in self.instances if instance.lifecycle == "InService" and instance.ours)


class FailureKind(StrEnum):
    """Whether waiting can cure a failed launch (field notes B4)."""

    CAPACITY = "capacity"
    QUOTA = "quota"
    CONFIGURATION = "configuration"
    PERMISSION = "permission"
    OTHER = "other"


@value()
class LaunchFailure:
    """A failed scaling activity: its kind, AWS's own message, and how many have failed so far."""

    kind: FailureKind
    message: str
    count: int = 1


@value()
class Split:
    """Who gets which share of the requests: weights by fleet name, as the forward action has them.

    A weight of zero means: named in the action, hence health checked, but given no request.
    """

    weights: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.weights.values())

    @property
    def shares(self) -> Mapping[str, int]:
        """The weights of those that get requests."""
        return {name: weight for name, weight in self.weights.items() if weight}

    def percent(self, fleet: str) -> Fraction:
        """The share of `fleet` in percent, exactly; zero for a fleet that is not in the action."""
        return Fraction(100 * self.weights.get(fleet, 0), self.total) if self.total else Fraction(0)

    @property
    def serving(self) -> tuple[str, ...]:
        """The fleets that get requests, the largest share first."""
        with_share = [name for name, weight in self.weights.items() if weight > 0]
        return tuple(sorted(with_share, key=lambda name: (-self.weights[name], name)))

    def __hash__(self) -> int:
        return hash(tuple(sorted(self.weights.items())))


@value()
class Route:
    """What the listener (or rule) does with a request now.

    `foreign` are target groups in the action that are not ours, with their weights: kept as they are. `vacant` says that
    nothing is forwarded yet (a fixed response): the place for a first release. `preview` is the fleet that has a preview
    rule, `preview_token` what the header must say for it (empty where the rule has no effect, since it comes too late),
    `previewable` whether such a rule can be made (an action that authenticates first cannot be copied, nor does a rule with five values
    take another one). `aside` are fleets with a
    rule that no request meets: they wait outside the action, health checked. `sticky_seconds` is for how long it keeps clients on
    their target group, `kept_sticky_seconds` for how long it did before that was switched off to shift traffic; 0 where it does
    not, or did not. `obstacle` says why traffic cannot be shifted here at all.
    """

    split: Split
    foreign: Mapping[str, int] = field(default_factory=dict)
    vacant: bool = False
    preview: str | None = None
    preview_token: str = ""
    aside: frozenset[str] = frozenset()
    previewable: bool = True
    sticky_seconds: int = 0
    kept_sticky_seconds: int = 0
    obstacle: str = ""


class Mood(StrEnum):
    GOOD = "good"
    NOT_YET = "not_yet"
    BAD = "bad"


@value()
class Verdict:
    """A judgement with its reason, in words that can be shown: "2 of 3 healthy; i-0ab: connection refused"."""

    mood: Mood
    reason: str

    @property
    def good(self) -> bool:
        return self.mood is Mood.GOOD

    @property
    def bad(self) -> bool:
        return self.mood is Mood.BAD


@value()
class Stage:
    """One canary share and how long it is held; a `manual` one then waits for a person. `gates` are those that judge it, by name;
    none named means all. The last stage of a schedule is 100 percent.
    """

    percent: Fraction
    hold_seconds: float = 0.0
    manual: bool = False
    gates: tuple[str, ...] = ()

    @property
    def watched(self) -> bool:
        return self.manual or self.hold_seconds > 0


@value()
class Observed:
    """Everything the decision rests on, as seen just now.

    `split_since` says since when the split is as it is, as far as this process (or the record) knows. `trusted` are the
    fleets that have been seen healthy for long enough to be given traffic. `short_since` says of fleets since when they have
    fewer healthy instances than they should, `lost` which of their instances have been seen leaving. `held` are the fleets and
    shares at which the gates had nothing against going on, `doubted` those at which they wanted a person to say so, `smoked` the
    fleets that have passed their smoke test.
    """

    route: Route
    fleets: Mapping[str, Fleet] = field(default_factory=dict)
    split_since: datetime | None = None
    trusted: frozenset[str] = frozenset()
    short_since: Mapping[str, datetime] = field(default_factory=dict)
    lost: Mapping[str, frozenset[str]] = field(default_factory=dict)
    held: frozenset[tuple[str, Fraction]] = frozenset()
    doubted: frozenset[tuple[str, Fraction]] = frozenset()
    smoked: frozenset[str] = frozenset()

    @property
    def split(self) -> Split:
        return self.route.split

    def serving_fleets(self) -> tuple[Fleet, ...]:
        """Our fleets that get requests now, the largest share first."""
        return tuple(self.fleets[name] for name in self.split.serving if name in self.fleets)
