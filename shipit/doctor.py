"""Everything that a release needs, checked one by one. A check that fails is a line of its own and stops no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from shipit import care
from shipit.errors import Interrupted, NotFound, ShipitError
from shipit.found import Finding, Health
from shipit.model import Observed
from shipit.ports import SourceQuery
from shipit.release.guard import refuse_foreign_route
from shipit.sandboxed import SANDBOX
from shipit.tenure import running
from shipit.wiring import Shop

if TYPE_CHECKING:
    from shipit.aws.doctor import Balancer

# ELBv2 quota, not adjustable: target groups in one forward action.
GROUPS_PER_ACTION = 5
Check = Callable[["Sick"], Iterator[Finding]]


class Sick:
    """The shop that is examined; what several checks need is read once."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.settings = shop.config.settings

    @cached_property
    def balancer(self) -> Balancer:
        return self.shop.checkup.balancer()

    def fail(self, what: str, why: str, next_: str) -> Finding:
        return Finding(Health.FAIL, what, why, next_)


def examine(shop: Shop) -> Iterator[Finding]:
    """The findings, in the order in which a release would meet them. Without credentials, AWS is not asked any further."""
    sick, told = Sick(shop), set[str]()
    for name, check in HERE.items():
        yield from _guarded(name, check, sick, told)
    known = list(_guarded("AWS credentials", _credentials, sick, told))
    yield from known
    if any(finding.mood is Health.FAIL for finding in known):
        yield Finding(Health.WARN, "nothing in AWS was checked", "for the reason above", "shipit doctor")
        return
    for name, check in THERE.items():
        yield from _guarded(name, check, sick, told)


def _guarded(name: str, check: Check, sick: Sick, told: set[str]) -> Iterator[Finding]:
    """What one check finds; an error is told once, though several checks may meet it."""
    try:
        yield from check(sick)
    except Interrupted:
        raise
    except ShipitError as error:
        if str(error) in told:
            yield Finding(Health.WARN, f"{name}: not checked", f"see above: {error.what}", "shipit doctor")
        else:
            told.add(str(error))
            yield Finding(
                Health.FAIL, f"{name}: {error.what}", error.why, error.next or "mend that, then shipit doctor"
            )


def _config(sick: Sick) -> Iterator[Finding]:
    config = sick.shop.config
    yield _ok(f"{config.path.name} is valid: {config.app} in {config.env}")


def _git(sick: Sick) -> Iterator[Finding]:
    repository = sick.shop.repository
    head = repository.resolve("HEAD")
    yield _ok(f"git: HEAD is {head.name} ({head.short_commit}), {len(repository.names())} branches and tags")
    for note in repository.notes(head):
        yield Finding(Health.WARN, f"git: {note}", "", "git status")
    if repository.is_shallow():
        why = "versions whose commit is not in it cannot be baked"
        yield Finding(Health.WARN, "git: this clone is shallow", why, "git fetch --unshallow --tags")


def _packer(sick: Sick) -> Iterator[Finding]:
    yield _ok(f"{sick.shop.packer.name} ({sick.shop.packer.path})")


def _credentials(sick: Sick) -> Iterator[Finding]:
    session, wanted = sick.shop.session, sick.settings.account
    session.require_account(wanted)
    yield _ok(f"AWS account {session.account}, region {session.region}")
    if not wanted and sick.shop.config.env != SANDBOX:
        why = "a release goes into whatever account the credentials belong to"
        yield Finding(Health.WARN, "shipit.yml names no account", why, f'account: "{session.account}"')


def _balancer(sick: Sick) -> Iterator[Finding]:
    found = sick.balancer
    if found.state != "active":
        yield sick.fail(
            f"load balancer {found.name} is {found.state}", "it must be active", "wait, or look at it in AWS"
        )
    else:
        yield _ok(f"load balancer {found.name} is active, listener {found.listener} exists")


def _gates(sick: Sick) -> Iterator[Finding]:
    gates = sick.shop.gates
    if gates.any:
        gates.check()
        yield _ok(f"gates can be asked: {', '.join(gates.names())}")


def _action(sick: Sick) -> Iterator[Finding]:
    route = sick.shop.traffic.observe()
    refuse_foreign_route(Observed(route))
    count = len(route.split.weights) + len(route.foreign)
    if count >= GROUPS_PER_ACTION:
        full = f"the action names {count} target groups"
        yield sick.fail(full, f"AWS allows {GROUPS_PER_ACTION}, and a release adds one", "shipit gc, shipit retire")
    else:
        yield _ok(f"traffic can be shifted: {count} of {GROUPS_PER_ACTION} target groups in the action")
    if route.sticky_seconds:
        yield _ok(
            f"clients are kept on their target group for {route.sticky_seconds} s, except while traffic is shifted"
        )
    if route.kept_sticky_seconds and not route.sticky_seconds and not sick.shop.record.read().holder:
        why = f"a release has switched it off; it was {route.kept_sticky_seconds} s"
        ways = "shipit resume" if route.previewable else "shipit retire"
        yield Finding(Health.WARN, "clients are not kept on their target group", why, ways)
    if not route.previewable:
        why = "the action authenticates first, and cannot be copied; or its rule has five values, and takes no header"
        yield Finding(Health.WARN, "there is no preview here", why, "shipit release works; shipit stage does not show")


def _subnets(sick: Sick) -> Iterator[Finding]:
    wanted = sick.settings.fleet.subnets
    if not wanted:
        yield sick.fail("fleet.subnets is empty", "instances need a subnet to start in", "fleet: {subnets: [subnet-…]}")
        return
    found = sick.shop.checkup.subnets(wanted)
    balancer = sick.balancer
    elsewhere = [s.id for s in found if s.vpc != balancer.vpc]
    cut_off = [f"{s.id} in {s.zone}" for s in found if s.vpc == balancer.vpc and s.zone not in balancer.zones]
    free, size = sum(s.free for s in found), sick.settings.fleet.size
    if elsewhere:
        why = f"the load balancer is in {balancer.vpc}"
        yield sick.fail(f"{', '.join(elsewhere)}: not in the load balancer's VPC", why, "correct fleet.subnets")
    if cut_off:
        why = f"the load balancer sends nothing there; its zones are {', '.join(sorted(balancer.zones))}"
        yield sick.fail(f"subnet {', '.join(cut_off)}", why, "correct fleet.subnets, or enable the zone")
    if free < size:
        yield sick.fail(f"{free} addresses are free in fleet.subnets", f"fleet.size is {size}", "add a subnet")
    if not (elsewhere or cut_off or free < size):
        zones = sorted({s.zone for s in found})
        yield _ok(f"{len(found)} subnets in {', '.join(zones)}")
        if len(zones) == 1:
            yield Finding(Health.WARN, f"all subnets are in {zones[0]}", "a zone can fail", "add a subnet elsewhere")


def _security_groups(sick: Sick) -> Iterator[Finding]:
    wanted = sick.settings.fleet.security_groups
    if not wanted:
        why = "instances get the default group of the VPC"
        hint = "fleet: {security_groups: [sg-…]}"
        yield Finding(Health.WARN, "fleet.security_groups is empty", why, hint)
        return
    found = sick.shop.checkup.security_groups(wanted)
    elsewhere = [group for group, vpc in found.items() if vpc != sick.balancer.vpc]
    if elsewhere:
        why = f"the load balancer is in {sick.balancer.vpc}"
        hint = "correct fleet.security_groups"
        yield sick.fail(f"{', '.join(elsewhere)}: not in the load balancer's VPC", why, hint)
    else:
        yield _ok(f"security groups {', '.join(found)}")


def _profiles(sick: Sick) -> Iterator[Finding]:
    wanted = {"fleet": sick.settings.fleet.instance_profile, "bake": sick.settings.bake.instance_profile}
    for section, profile in wanted.items():
        if profile is None:
            continue
        if sick.shop.checkup.roles(profile):
            yield _ok(f"instance profile {profile} ({section}.instance_profile)")
        else:
            hint = f"aws iam add-role-to-instance-profile --instance-profile-name {profile} --role-name ROLE"
            yield sick.fail(f"instance profile {profile} has no role", "instances would get no credentials", hint)


def _source_image(sick: Sick) -> Iterator[Finding]:
    wanted = sick.settings.bake.source_image
    image_id = sick.shop.images.source(SourceQuery(wanted.id, wanted.name, wanted.owners, wanted.architecture))
    image = sick.shop.images.by_id(image_id)
    if image is None:
        raise NotFound(
            f"there is no AMI {image_id}", "EC2 does not know it in this region", "correct bake.source_image"
        )
    if image.state != "available":
        yield sick.fail(
            f"source image {image_id} is {image.state}", "it cannot be built on", "correct bake.source_image"
        )
    else:
        yield _ok(f"source image {image_id}: {image.version.name}")


def _record(sick: Sick) -> Iterator[Finding]:
    if sick.settings.record == "none":
        why = "no history, and two releases at once are not kept apart"
        yield Finding(Health.WARN, "there is no record", why, "record: shipit")
        return
    standing = sick.shop.record.read()
    yield _ok(f"record: table {sick.settings.record}")
    if standing.freeze:
        frozen = standing.freeze
        why = f"{frozen.reason}, says {frozen.who} since {frozen.at:%Y-%m-%d %H:%M} UTC"
        yield Finding(Health.WARN, "releases are frozen", why, "shipit unfreeze")
    holder = running(standing, sick.shop.clock.now())
    if holder:
        what = f"{holder.command} {holder.version} is in progress".replace("  ", " ")
        yield Finding(Health.WARN, what, f"by {holder.who} at {holder.where}", "shipit status")
    elif standing.aim:
        what = f"the release of {standing.aim.version.name} was stopped before its end"
        yield Finding(Health.WARN, what, "it can be gone on with", "shipit resume, or shipit abort")


def _leftovers(sick: Sick) -> Iterator[Finding]:
    survey = care.survey(sick.shop, care.rules_of(sick.shop))
    for note in survey.notes:
        yield Finding(Health.WARN, note, "", "shipit doctor")
    kinds = Counter(found.kind.words for found in survey.found)
    if kinds:
        listed = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in kinds.items())
        next_ = "shipit gc --yes" if any(found.deletable for found in survey.found) else "shipit gc"
        yield Finding(Health.WARN, f"left over: {listed}", "shipit gc says of what", next_)
    else:
        yield _ok("nothing is left over")


def _ok(what: str) -> Finding:
    return Finding(Health.OK, what)


HERE: dict[str, Check] = {"shipit.yml": _config, "git": _git, "Packer": _packer}
THERE: dict[str, Check] = {
    "load balancer": _balancer,
    "traffic": _action,
    "gates": _gates,
    "subnets": _subnets,
    "security groups": _security_groups,
    "instance profile": _profiles,
    "source image": _source_image,
    "record": _record,
    "leftovers": _leftovers,
}
