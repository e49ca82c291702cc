"""What is left over and may go: facts in, a list out. Nothing that a fleet, the listener, the way back, a pin or a release
needs is ever on it as deletable; whoever deletes proves it once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from datetime import datetime, timedelta

from shipit import naming
from shipit.found import Ami, Group, Kind, Marked, Naming, Snapshot
from shipit.model import Exposure, Fleet, Observed
from shipit.standing import Standing
from shipit.value import value

# Younger images and snapshots may be those of a bake, or of somebody's release, that we do not know of.
SPARED = timedelta(days=1)
_FAILED = frozenset({"failed", "invalid", "error"})


@value()
class Rules:
    """`patience_seconds`: younger parts may be somebody's who is at it now. `kept` gives up fleets that were kept to be
    looked at.
    """

    keep_images: int = 10
    patience_seconds: float = 600.0
    kept: bool = False


@value()
class Facts:
    """What was seen. `standing` None means that the record could not be read.

    `templates` are our launch templates with the time of their making. `used` are images that something needs, by id, with
    what needs them, whatever the environment; `recent` the commits that were made to serve within the rollback window.
    """

    now: datetime
    observed: Observed
    standing: Standing | None = None
    groups: Mapping[str, Group] = field(default_factory=dict)
    templates: Mapping[str, datetime] = field(default_factory=dict)
    marked: tuple[Marked, ...] = ()
    images: tuple[Ami, ...] = ()
    snapshots: tuple[Snapshot, ...] = ()
    used: Mapping[str, str] = field(default_factory=dict)
    recent: frozenset[str] = frozenset()

    @property
    def aimed_at(self) -> frozenset[str]:
        """The fleets of a release that runs, or that was stopped and may be resumed."""
        aim = self.standing.aim if self.standing else None
        return frozenset({aim.fleet, aim.home} - {""}) if aim else frozenset()


@value()
class Leftover:
    """One thing that nobody uses. `deletable` False: `next` says what a person has to do about it."""

    kind: Kind
    name: str
    why: str
    deletable: bool = True
    next: str = ""


def leftovers(facts: Facts, rules: Rules) -> tuple[Leftover, ...]:
    """All of them, in the order in which they can go."""
    return (
        *_fleets(facts, rules),
        *_groups(facts, rules),
        *_templates(facts, rules),
        *_marked(facts),
        *_images(facts, rules),
        *_snapshots(facts),
    )


def fleet_leftover(fleet: Fleet, facts: Facts, rules: Rules) -> Leftover | None:
    """The fleet as a leftover; None while anything needs it."""
    why = _why_fleet(fleet, facts, rules)
    if why is None or fleet.name in facts.aimed_at:
        return None
    if facts.observed.route.preview == fleet.name:
        why = f"{fleet.version.name}: {why}, and its preview is open"
        return Leftover(Kind.FLEET, fleet.name, why, False, "shipit retire deletes it, and closes the preview")
    group = facts.groups.get(fleet.name)
    return _named(Leftover(Kind.FLEET, fleet.name, f"{fleet.version.name}: {why}"), group, facts)


def group_leftover(group: Group, facts: Facts, rules: Rules) -> Leftover | None:
    """The target group as a leftover; None while its fleet is there, or being made."""
    if group.name in {*facts.observed.fleets, *facts.aimed_at}:
        return None
    made = facts.templates.get(group.name)
    if made and _young(made, facts, rules):
        return None
    return _named(Leftover(Kind.TARGET_GROUP, group.name, "it has no Auto Scaling group"), group, facts)


def without(name: str, facts: Facts) -> Mapping[str, int]:
    """The weights of the action without that fleet."""
    return {fleet: weight for fleet, weight in facts.observed.split.weights.items() if fleet != name}


def _fleets(facts: Facts, rules: Rules) -> Iterator[Leftover]:
    for _, fleet in sorted(facts.observed.fleets.items()):
        found = fleet_leftover(fleet, facts, rules)
        if found:
            yield found


def _why_fleet(fleet: Fleet, facts: Facts, rules: Rules) -> str | None:
    now, observed = facts.now, facts.observed
    if observed.split.percent(fleet.name) > 0:
        return None
    if observed.route.preview == fleet.name:
        return _why_previewed(fleet, facts, rules)
    if fleet.leaving:
        return "its deletion was not finished"
    if fleet.kept_until and fleet.kept_until > now and not rules.kept:
        return None
    if fleet.proven:
        over = fleet.parked_until is not None and fleet.parked_until <= now
        return "it was parked, and its time is over" if over else None
    if fleet.created_at is None or _young(fleet.created_at, facts, rules):
        return None
    if fleet.kept_until:
        return "it failed and was kept to be looked at" + ("" if fleet.kept_until > now else "; that time is over")
    if not fleet.whole:
        return "its launch was cut short"
    if fleet.exposure is Exposure.NONE:
        return "it never served" if fleet.name not in observed.split.weights else None
    return "it served a share once and gets none now"


def _why_previewed(fleet: Fleet, facts: Facts, rules: Rules) -> str | None:
    """A staged fleet is healthy and waits for somebody; one that is not healthy by the deadline has failed."""
    old = fleet.created_at is not None and not _young(fleet.created_at, facts, rules)
    kept = fleet.kept_until is not None and fleet.kept_until > facts.now
    failed = old and fleet.exposure is Exposure.NONE and not kept and not fleet.healthy
    return "it never served and has no healthy instance" if failed else None


def _groups(facts: Facts, rules: Rules) -> Iterator[Leftover]:
    for _, group in sorted(facts.groups.items()):
        found = group_leftover(group, facts, rules)
        if found:
            yield found


def _templates(facts: Facts, rules: Rules) -> Iterator[Leftover]:
    for name, made in sorted(facts.templates.items()):
        needed = name in {*facts.observed.fleets, *facts.aimed_at}
        if not needed and not _young(made, facts, rules):
            yield Leftover(Kind.TEMPLATE, name, "it has no Auto Scaling group")


def _named(leftover: Leftover, group: Group | None, facts: Facts) -> Leftover | None:
    """The leftover with what names its target group: requests keep it, an action of somebody else leaves it to a person."""
    namings = group.namings if group else ()
    with_share = [named for named in namings if named.weight > 0]
    if any(named.own for named in with_share) or facts.observed.split.percent(leftover.name) > 0:
        return None if leftover.kind is Kind.FLEET else _left(leftover, with_share, "shipit status")
    if with_share:
        closes = "shipit retire closes the preview" if all(named.preview for named in with_share) else ""
        return _left(leftover, with_share, closes or "take it out of that rule")
    others = [named for named in namings if not named.own]
    if others:
        return _left(leftover, others, "take it out of that rule")
    if namings and not _clean(leftover.name, facts):
        return _left(leftover, list(namings), "take it out of the action, or release something else there")
    return leftover


def _left(leftover: Leftover, namings: list[Naming], next_: str) -> Leftover:
    named = ", ".join(f"{found.rule} (weight {found.weight})" for found in namings)
    return Leftover(leftover.kind, leftover.name, f"{leftover.why}; still named by {named}", False, next_)


def _clean(name: str, facts: Facts) -> bool:
    """Whether taking it out of our action leaves everybody served as before."""
    route = facts.observed.route
    foreign = any(weight > 0 for weight in route.foreign.values())
    return not route.obstacle and not foreign and sum(without(name, facts).values()) > 0


def _marked(facts: Facts) -> Iterator[Leftover]:
    order = (Kind.BUILDER, Kind.KEY_PAIR, Kind.SECURITY_GROUP)
    for found in sorted(facts.marked, key=lambda found: (order.index(found.kind), found.id)):
        if found.abandoned:
            of = f"{found.name} of a bake" if found.name else "of a bake"
            yield Leftover(found.kind, found.id, f"{of} that nobody works on any more: {found.mark}")


def _images(facts: Facts, rules: Rules) -> Iterator[Leftover]:
    newest = _newest(facts, rules.keep_images)
    for ami in sorted(facts.images, key=lambda ami: (ami.image.created_at or facts.now, ami.image.id)):
        why = None if ami.image.id in newest else _why_image(ami, facts, rules)
        if why and facts.standing is None:
            yield Leftover(
                Kind.IMAGE, ami.image.id, f"{why}; but the record cannot be read", False, "shipit doctor says why"
            )
        elif why and ami.protected:
            hint = f"aws ec2 disable-image-deregistration-protection --image-id {ami.image.id}"
            yield Leftover(Kind.IMAGE, ami.image.id, f"{why}; but it is protected from deregistration", False, hint)
        elif why:
            yield Leftover(Kind.IMAGE, ami.image.id, why)


def _newest(facts: Facts, count: int) -> set[str]:
    whole = [ami.image for ami in facts.images if ami.image.state == "available" and ami.image.created_at]
    whole.sort(key=lambda image: (image.created_at or facts.now, image.id), reverse=True)
    return {image.id for image in whole[:count]}


def _why_image(ami: Ami, facts: Facts, rules: Rules) -> str | None:
    image = ami.image
    aim = facts.standing.aim if facts.standing else None
    needed = image.id in facts.used or ami.pin is not None or (aim is not None and aim.image_id == image.id)
    back = bool(image.version.commit) and image.version.commit in facts.recent
    if needed or back or image.created_at is None or facts.now - image.created_at < SPARED:
        return None
    age = f"{image.version.name}, {(facts.now - image.created_at).days} days old"
    if image.state in _FAILED:
        return f"{age}: it is {image.state}"
    if image.state == "pending":
        baked = {found.fingerprint for found in facts.marked if not found.abandoned}
        return None if image.fingerprint in baked else f"{age}: still pending, and nobody bakes it"
    return f"{age}: not used, and {rules.keep_images} newer ones are kept" if image.state == "available" else None


def _snapshots(facts: Facts) -> Iterator[Leftover]:
    for found in sorted(facts.snapshots, key=lambda found: found.id):
        if found.pin is None and facts.now - found.created_at >= SPARED:
            yield Leftover(Kind.SNAPSHOT, found.id, f"its image is gone; a tag {naming.KEEP} would keep it")


def _young(made: datetime, facts: Facts, rules: Rules) -> bool:
    return facts.now - made < timedelta(seconds=rules.patience_seconds)
