"""Looking after an environment: what is left over is listed, and deleted when asked; each deletion is proved anew.

One that fails stops no other. The command line and the web page both call `survey` and `gc`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from shipit.bake.mark import Mark
from shipit.errors import Interrupted, Refused, ShipitError
from shipit.events import Ended
from shipit.found import Kind, Marked
from shipit.model import Ending, Exposure, Mood, Observed, Split, Verdict
from shipit.release.guard import refuse_harm
from shipit.release.leftovers import Facts, Leftover, Rules, fleet_leftover, leftovers
from shipit.release.steps import DeleteFleet
from shipit.standing import Standing
from shipit.tenure import holding
from shipit.value import value
from shipit.wait import Pace, until
from shipit.wiring import Shop

Told = Callable[[str], None]
HISTORY = 200
_PACE = Pace(first_seconds=0.5, growth=1.5, longest_seconds=5.0)
# A target group stays in use for about a minute after the last rule let go of it, a security group until its instance is
# gone, an Auto Scaling group for some minutes after it is empty (field notes A9, B7).
_PATIENCE = {Kind.TARGET_GROUP: 60.0, Kind.FLEET: 600.0}
_PATIENCE_OF_BAKES = 180.0
_BAKES = frozenset({Kind.BUILDER, Kind.KEY_PAIR, Kind.SECURITY_GROUP})


@value()
class Survey:
    """What is left over, the facts behind it, and what could not be read."""

    found: tuple[Leftover, ...]
    facts: Facts
    notes: tuple[str, ...] = ()


@value()
class Fate:
    """What became of a leftover: `gone`, or why not and what to type next."""

    leftover: Leftover
    gone: bool
    why: str = ""
    next: str = ""


def rules_of(shop: Shop, keep_images: int | None = None, *, kept: bool = False) -> Rules:
    settings = shop.config.settings
    return Rules(keep_images or settings.images.keep, settings.health.deadline_seconds, kept)


def survey(shop: Shop, rules: Rules) -> Survey:
    """Looks at everything and changes nothing."""
    shop.session.require_account(shop.config.settings.account)
    standing, recent, notes = _written_down(shop)
    facts = Facts(
        now=shop.clock.now(),
        observed=_with_preview(shop, _observed(shop)),
        standing=standing,
        groups=shop.leftovers.groups(),
        templates=shop.leftovers.templates(),
        marked=_marked(shop),
        images=tuple(shop.retention.images()),
        snapshots=tuple(shop.retention.snapshots()),
        used=shop.retention.used() if standing is None else {**_aimed_at_elsewhere(shop), **shop.retention.used()},
        recent=recent,
    )
    # Instances and accounts that an image is shared with are only asked for where they decide.
    candidates = [found.name for found in leftovers(facts, rules) if found.kind is Kind.IMAGE]
    facts = replace(facts, used={**shop.retention.held(candidates), **facts.used})
    return Survey(leftovers(facts, rules), facts, notes)


def gc(shop: Shop, found: Survey, rules: Rules, told: Told) -> tuple[Fate, ...]:
    """Deletes what may go; `told` hears what is waited for, and what became of each.

    The one way to every deletion, under the lease. Raises `errors.Held` while somebody else is at it.
    """
    with holding(shop, "gc"):
        return tuple(_fate(shop, leftover, found.facts, rules, told) for leftover in found.found)


def ending_of(fates: tuple[Fate, ...]) -> Ending:
    return Ending.SUCCEEDED if all(fate.gone for fate in fates) else Ending.SHIPPED_DIRTY


def _fate(shop: Shop, leftover: Leftover, facts: Facts, rules: Rules, told: Told) -> Fate:
    if not leftover.deletable:
        return Fate(leftover, False, leftover.why, leftover.next)
    try:
        verdict = _ended(shop, leftover, facts, rules, told)
        fate = Fate(leftover, verdict.good, "" if verdict.good else verdict.reason, "" if verdict.good else "shipit gc")
        remark = verdict.reason if verdict.good else ""
    except Interrupted:
        raise
    except ShipitError as error:
        fate, remark = Fate(leftover, False, f"{error.what}: {error.why}" if error.why else error.what, error.next), ""
    told(f"{'deleted' if fate.gone else 'left'} {leftover.kind.words} {leftover.name}{f': {remark}' if remark else ''}")
    return fate


def _ended(shop: Shop, leftover: Leftover, facts: Facts, rules: Rules, told: Told) -> Verdict:
    """Tries until it is gone, or for as long as AWS may need for one of its kind."""
    patience = _PATIENCE.get(leftover.kind, _PATIENCE_OF_BAKES)
    if leftover.kind is Kind.FLEET:
        _prove_fleet(shop, leftover.name, facts, rules)
        patience += shop.config.settings.traffic.drain_seconds + shop.config.settings.traffic.settle_seconds
    deadline = shop.clock.now() + timedelta(seconds=patience)

    def probe() -> Verdict:
        verdict = _try(shop, leftover, facts)
        late = verdict.mood is Mood.NOT_YET and shop.clock.now() >= deadline
        return Verdict(Mood.BAD, f"{verdict.reason}, and time is up") if late else verdict

    return until(probe, shop.clock, _PACE, lambda reason: told(f"waiting: {reason}"))


def _try(shop: Shop, leftover: Leftover, facts: Facts) -> Verdict:
    name = leftover.name
    if leftover.kind is Kind.FLEET:
        return _try_fleet(shop, name, facts.now)
    if leftover.kind is Kind.TARGET_GROUP:
        return _try_group(shop, name, facts)
    if leftover.kind in _BAKES:
        return _try_bake(shop, name, facts)
    stays: list[str] = []
    if leftover.kind is Kind.IMAGE:
        needs = _aimed_at_elsewhere(shop).get(name)
        if needs:
            raise Refused(f"image {name} is kept", f"it is needed by now: {needs}", "shipit gc")
        stays += shop.retention.delete_image(name, next(a.image.state for a in facts.images if a.image.id == name))
    elif leftover.kind is Kind.SNAPSHOT:
        shop.retention.delete_snapshot(name)
    else:
        shop.leftovers.delete_template(name)
    return Verdict(Mood.BAD if stays else Mood.GOOD, "; ".join(stays))


def _prove_fleet(shop: Shop, name: str, facts: Facts, rules: Rules) -> None:
    """Nothing that was read a minute ago is a ground to delete a fleet: all rules of the listener are read again."""
    now = replace(
        facts,
        now=shop.clock.now(),
        observed=_observed(shop),
        groups=shop.leftovers.groups(),
        standing=_written_down(shop)[0],
    )
    fleet = now.observed.fleets.get(name)
    still = fleet_leftover(fleet, now, rules) if fleet else None
    if fleet and (still is None or not still.deletable):
        raise Refused(f"fleet {name} is kept", still.why if still else "something needs it by now", "shipit gc")


def _try_fleet(shop: Shop, name: str, idle_since: datetime) -> Verdict:
    """One look, and the next thing to do about it. Who ever had a request is drained; who never had one is not."""
    observed = _observed(shop)
    fleet = observed.fleets.get(name)
    never_served = fleet is None or fleet.exposure is Exposure.NONE
    refuse_harm(DeleteFleet(name, at_once=never_served), observed)
    settled = idle_since + timedelta(seconds=shop.config.settings.traffic.settle_seconds)
    if fleet and not never_served and not fleet.leaving and shop.clock.now() < settled:
        return Verdict(Mood.NOT_YET, f"{name} must have been idle until {settled:%H:%M:%S} UTC")
    _take_out(shop, name, observed)
    if fleet and not never_served:
        if not fleet.leaving or fleet.desired:
            shop.fleets.drain(name)
        if fleet.instances:
            return Verdict(Mood.NOT_YET, f"{len(fleet.instances)} instances of {name} drain")
    gone = shop.fleets.delete(name, at_once=never_served)
    return Verdict(Mood.GOOD, "") if gone else Verdict(Mood.NOT_YET, f"{name} is being deleted")


def _try_group(shop: Shop, name: str, facts: Facts) -> Verdict:
    _take_out(shop, name, _observed(shop))
    gone = shop.leftovers.delete_group(facts.groups[name])
    return Verdict(Mood.GOOD, "") if gone else Verdict(Mood.NOT_YET, f"target group {name} is still in use")


def _take_out(shop: Shop, name: str, observed: Observed) -> None:
    """Out of our action, which names it at 0 %: until then AWS keeps the target group."""
    weights = observed.split.weights
    rest = Split({fleet: weight for fleet, weight in weights.items() if fleet != name})
    if weights.get(name) == 0 and rest.total > 0:
        shop.traffic.shift(rest, observed.split)


def _try_bake(shop: Shop, name: str, facts: Facts) -> Verdict:
    """All that carries the mark goes together: a security group cannot go before its instance."""
    mark = next(found.mark for found in facts.marked if found.id == name)
    shop.builders.sweep(lambda text: text == mark)
    left = [found for found in shop.builders.marked() if found.id == name and found.mark == mark]
    return Verdict(Mood.NOT_YET, f"{name} is still in use") if left else Verdict(Mood.GOOD, "")


def _observed(shop: Shop) -> Observed:
    return Observed(shop.traffic.observe(), shop.fleets.observe())


def _with_preview(shop: Shop, observed: Observed) -> Observed:
    """With the health of the fleet that is previewed: it tells one that was staged from one that failed."""
    fleet = observed.fleets.get(observed.route.preview or "")
    if fleet is None:
        return observed
    return replace(observed, fleets={**observed.fleets, fleet.name: shop.fleets.with_health(fleet)})


def _marked(shop: Shop) -> tuple[Marked, ...]:
    """What carries a mark of this app's; a mark that shipit did not write is not ours to judge."""
    known = [(found, Mark.parse(found.mark)) for found in shop.builders.marked()]
    now, app = shop.clock.now(), shop.config.app
    return tuple(replace(found, abandoned=mark.abandoned(now)) for found, mark in known if mark and mark.app == app)


def _written_down(shop: Shop) -> tuple[Standing | None, frozenset[str], tuple[str, ...]]:
    """What stands, and the commits that were made to serve within the rollback window; None when it cannot be read."""
    oldest = shop.clock.now() - timedelta(minutes=shop.config.settings.rollback.keep_minutes)
    try:
        standing, events = shop.record.read(), shop.record.history(HISTORY)
    except Interrupted:
        raise
    except ShipitError as error:
        return None, frozenset(), (f"the record cannot be read, so no image is deleted: {error.what} ({error.why})",)
    recent = {event.commit for event in events if isinstance(event, Ended) and _served(event) and event.at > oldest}
    return standing, frozenset(recent - {""}), ()


def _aimed_at_elsewhere(shop: Shop) -> dict[str, str]:
    """The images that releases of other environments are about to launch, by id: those have no fleet yet that shows it."""
    others = sorted(shop.retention.environments() - {shop.config.env})
    aims = {env: shop.record_of(env).read().aim for env in others}
    return {
        aim.image_id: f"the release of {aim.version.name} in {env}" for env, aim in aims.items() if aim and aim.image_id
    }


def _served(event: Ended) -> bool:
    return event.ending in (Ending.SUCCEEDED, Ending.SHIPPED_DIRTY)
