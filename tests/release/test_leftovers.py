"""What counts as left over: tables of single cases, and a property over worlds: nothing that is needed is ever deletable."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.found import Ami, Group, Kind, Marked, Naming, Snapshot
from shipit.model import Exposure, Fleet, Image, Instance, Observed, Route, Split, TargetState, Version
from shipit.release.leftovers import SPARED, Facts, Leftover, Rules, leftovers
from shipit.standing import Aim, Standing
from tests.release.worlds import reproducible

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
OLD, YOUNG = NOW - timedelta(hours=2), NOW - timedelta(minutes=5)
LATER, EARLIER = NOW + timedelta(minutes=5), NOW - timedelta(minutes=5)
RULES = Rules(keep_images=2, patience_seconds=600)
SERVING = Route(Split({"blue": 100}))
ACTION = Naming("the default action of listener 443", 0, own=True)


def fleet(name: str = "f", **facts: Any) -> Fleet:
    return Fleet(name, Version("v1", "c" * 40), "ami-1", **{"created_at": OLD, **facts})


def facts(*fleets: Fleet, **more: Any) -> Facts:
    route = more.pop("route", SERVING)
    seen = Observed(route, {one.name: one for one in fleets})
    return Facts(**{"now": NOW, "observed": seen, "standing": Standing(), **more})


def names(found: tuple[Leftover, ...], *, deletable: bool | None = None) -> list[str]:
    return [one.name for one in found if deletable in (None, one.deletable)]


def aim(**more: Any) -> Standing:
    return Standing(aim=Aim(Version("v2"), **{"fleet": "g", **more}))


# Fleets

GARBAGE: dict[str, dict[str, Any]] = {
    "never served, and is old": {},
    "its deletion was cut short": {"leaving": True, "created_at": YOUNG},
    "incomplete": {"whole": False},
    "failed as a canary": {"exposure": Exposure.SOME},
    "was kept, and that time is over": {"kept_until": EARLIER},
    "was parked, and that time is over": {"exposure": Exposure.ALL, "parked_until": EARLIER},
    "was parked on its way back, and that time is over": {"exposure": Exposure.RETURNING, "parked_until": EARLIER},
}
NEEDED: dict[str, dict[str, Any]] = {
    "young: somebody may be launching it": {"created_at": YOUNG},
    "young and incomplete": {"created_at": YOUNG, "whole": False},
    "of unknown age": {"created_at": None},
    "kept to be looked at": {"kept_until": LATER},
    "parked": {"exposure": Exposure.ALL, "parked_until": LATER},
    "proven, not parked (yet): the way back": {"exposure": Exposure.ALL},
    "returning": {"exposure": Exposure.RETURNING},
}


@pytest.mark.parametrize("case", GARBAGE.values(), ids=GARBAGE)
def test_a_fleet_is_left_over_that(case: dict[str, Any]) -> None:
    (found,) = leftovers(facts(fleet(**case)), RULES)
    assert (found.kind, found.name, found.deletable) == (Kind.FLEET, "f", True)
    assert found.why.startswith("v1: ")


@pytest.mark.parametrize("case", NEEDED.values(), ids=NEEDED)
def test_a_fleet_is_not_left_over_that_is(case: dict[str, Any]) -> None:
    assert leftovers(facts(fleet(**case)), RULES) == ()


@pytest.mark.parametrize("case", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize(
    "standing", [aim(fleet="f"), aim(home="f")], ids=["it is the goal", "it is what a release would go back to"]
)
def test_a_fleet_of_a_release_is_never_left_over(case: dict[str, Any], standing: Standing) -> None:
    assert leftovers(facts(fleet(**case), standing=standing), RULES) == ()


@pytest.mark.parametrize("case", GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize(
    "route", [Route(Split({"blue": 99, "f": 1})), Route(Split({"blue": 1}), preview="f")], ids=["a share", "a preview"]
)
def test_a_fleet_that_requests_reach_is_never_left_over(case: dict[str, Any], route: Route) -> None:
    assert names(leftovers(facts(fleet(**case), route=route), RULES), deletable=True) == []


def test_a_staged_fleet_is_not_left_over_and_one_that_failed_while_previewed_is_told() -> None:
    route = Route(Split({"blue": 1}), preview="f")
    well = fleet(instances=(Instance("i-1", "InService", target=TargetState.HEALTHY),))
    assert leftovers(facts(well, route=route), RULES) == ()
    sick = fleet(instances=(Instance("i-1", "InService", target=TargetState.UNHEALTHY),))
    (found,) = leftovers(facts(sick, route=route), RULES)
    assert (found.deletable, found.next) == (False, "shipit retire deletes it, and closes the preview")
    assert leftovers(facts(replace(sick, created_at=YOUNG), route=route), RULES) == ()
    assert leftovers(facts(replace(sick, kept_until=LATER), route=route), RULES) == ()


def test_a_kept_fleet_goes_when_that_is_asked_for() -> None:
    seen = facts(fleet(kept_until=LATER))
    assert names(leftovers(seen, replace(RULES, kept=True))) == ["f"]


def test_a_fleet_that_another_rule_sends_requests_to_is_told_and_left() -> None:
    group = Group("f", "arn", (Naming("rule 7 of listener 80", 1),))
    (found,) = leftovers(facts(fleet(), groups={"f": group}), RULES)
    assert not found.deletable
    assert "still named by rule 7 of listener 80 (weight 1)" in found.why
    assert found.next


def test_a_fleet_at_0_percent_of_our_action_goes_while_others_serve() -> None:
    route = Route(Split({"blue": 100, "f": 0}))
    seen = facts(fleet(exposure=Exposure.SOME), route=route, groups={"f": Group("f", "arn", (ACTION,))})
    assert names(leftovers(seen, RULES), deletable=True) == ["f"]


def test_a_fleet_that_never_served_and_is_in_our_action_may_be_arriving() -> None:
    """Where the listener authenticates there is no preview: a fleet arrives at 0 % of the action."""
    route = Route(Split({"blue": 100, "f": 0}))
    assert leftovers(facts(fleet(), route=route, groups={"f": Group("f", "arn", (ACTION,))}), RULES) == ()


# Target groups and templates

NAMED: dict[str, tuple[tuple[Naming, ...], Route, bool]] = {
    "named by nothing": ((), SERVING, True),
    "at 0 % of our action": ((ACTION,), Route(Split({"blue": 1, "t": 0})), True),
    "at 0 %, and nothing else serves": ((ACTION,), Route(Split({"t": 0})), False),
    "at 0 %, beside somebody else's share": ((ACTION,), Route(Split({"blue": 1, "t": 0}), {"x": 1}), False),
    "at 0 %, in an action that cannot be shifted": ((ACTION,), Route(Split({"b": 1, "t": 0}), obstacle="no"), False),
    "at 0 % of another rule": ((Naming("rule 7", 0),), SERVING, False),
    "with a share of another rule": ((Naming("rule 7", 5),), SERVING, False),
    "with a share of our action": ((replace(ACTION, weight=5),), Route(Split({"t": 5})), False),
    "previewed": ((Naming("rule 1", 1, preview=True),), SERVING, False),
}


@pytest.mark.parametrize(("namings", "route", "deletable"), NAMED.values(), ids=NAMED)
def test_a_target_group_without_a_fleet(namings: tuple[Naming, ...], route: Route, deletable: bool) -> None:
    (found,) = leftovers(facts(route=route, groups={"t": Group("t", "arn", namings)}), RULES)
    assert (found.kind, found.name, found.deletable) == (Kind.TARGET_GROUP, "t", deletable)
    assert deletable or (namings[0].rule in found.why and found.next)


def test_parts_of_a_fleet_that_is_there_or_arriving_are_not_left_over() -> None:
    groups = {name: Group(name, "arn") for name in ("f", "g", "h")}
    templates = {"f": OLD, "g": OLD, "h": YOUNG}
    seen = facts(fleet("f", created_at=YOUNG), groups=groups, templates=templates, standing=aim(fleet="g"))
    assert leftovers(seen, RULES) == ()


def test_a_template_without_a_group_is_left_over_once_it_is_old() -> None:
    found = leftovers(facts(templates={"old": OLD, "young": YOUNG}), RULES)
    assert [(one.kind, one.name) for one in found] == [(Kind.TEMPLATE, "old")]


# Bakes


def test_what_abandoned_bakes_left_goes_instances_first() -> None:
    mark = "shipit-bake:hello:…"
    kinds = (Kind.SECURITY_GROUP, Kind.KEY_PAIR, Kind.BUILDER)
    marked = tuple(Marked(kind, f"{kind}-1", mark, abandoned=True) for kind in kinds)
    busy = Marked(Kind.BUILDER, "i-busy", "shipit-bake:other")
    found = leftovers(facts(marked=(*marked, busy)), RULES)
    assert [one.kind for one in found] == list(reversed(kinds))
    assert all(mark in one.why for one in found)


# Images

DAYS = timedelta(days=1)


def ami(name: str, age: timedelta = 30 * DAYS, state: str = "available", **more: Any) -> Ami:
    commit = more.pop("commit", "")
    return Ami(Image(name, Version(f"version of {name}", commit), f"print of {name}", state, NOW - age), **more)


NEWEST = (ami("new-1", 2 * DAYS), ami("new-2", 3 * DAYS))


def of_images(*images: Ami, **more: Any) -> tuple[Leftover, ...]:
    return leftovers(facts(images=(*NEWEST, *images), **more), RULES)


def test_images_beyond_the_newest_are_left_over_oldest_first() -> None:
    found = of_images(ami("a", 5 * DAYS), ami("b", 9 * DAYS))
    assert names(found, deletable=True) == ["b", "a"]
    assert found[0].why == "version of b, 9 days old: not used, and 2 newer ones are kept"


@pytest.mark.parametrize("state", ["failed", "invalid", "error"])
def test_a_failed_image_is_left_over_and_does_not_count_as_one_that_is_kept(state: str) -> None:
    failed = (ami("bad-1", 1.5 * DAYS, state), ami("bad-2", 1.6 * DAYS, state))
    assert sorted(names(of_images(*failed))) == ["bad-1", "bad-2"]


def test_a_pending_image_is_left_over_when_nobody_bakes_it() -> None:
    assert names(of_images(ami("p", state="pending"))) == ["p"]
    busy = Marked(Kind.BUILDER, "i-1", "mark", fingerprint="print of p")
    assert of_images(ami("p", state="pending"), marked=(busy,)) == ()
    assert names(of_images(ami("p", state="pending"), marked=(replace(busy, abandoned=True),))) == ["i-1", "p"]


KEPT: dict[str, tuple[Ami, dict[str, Any]]] = {
    "one that something uses": (ami("a"), {"used": {"a": "Auto Scaling group x"}}),
    "a young one": (ami("a", DAYS / 2, "failed"), {}),
    "a pinned one": (ami("a", pin="because"), {}),
    "a pinned one, without a reason": (ami("a", pin=""), {}),
    "the one of a release": (ami("a"), {"standing": aim(image_id="a")}),
    "one that served within the rollback window": (ami("a", commit="d" * 40), {"recent": frozenset({"d" * 40})}),
    "a disabled one: somebody did that": (ami("a", state="disabled"), {}),
    "one of unknown age": (replace(ami("a"), image=replace(ami("a").image, created_at=None)), {}),
}


@pytest.mark.parametrize(("image", "more"), KEPT.values(), ids=KEPT)
def test_an_image_is_kept(image: Ami, more: dict[str, Any]) -> None:
    assert of_images(image, **more) == ()


def test_no_image_goes_while_the_record_cannot_be_read() -> None:
    (found,) = of_images(ami("a"), standing=None)
    assert not found.deletable
    assert "the record cannot be read" in found.why


def test_a_protected_image_is_told_with_the_command_that_lifts_the_protection() -> None:
    (found,) = of_images(ami("a", protected=True))
    assert not found.deletable
    assert found.next == "aws ec2 disable-image-deregistration-protection --image-id a"


def test_snapshots_whose_image_is_gone_are_left_over_unless_young_or_pinned() -> None:
    snapshots = (Snapshot("s", NOW - 2 * DAYS), Snapshot("young", NOW), Snapshot("pin", NOW - 2 * DAYS, ""))
    assert names(leftovers(facts(snapshots=snapshots), RULES)) == ["s"]


# The property

NAMES = [f"f{number}" for number in range(4)]
IMAGES = [f"ami-{number}" for number in range(6)]
times = st.sampled_from([None, NOW - 30 * DAYS, OLD, YOUNG, LATER])
weights = st.integers(0, 2)


@st.composite
def worlds(draw: Any) -> tuple[Facts, Rules]:
    fleets = {
        name: Fleet(
            name,
            Version(name, name * 10),
            draw(st.sampled_from(IMAGES)),
            whole=draw(st.booleans()),
            leaving=draw(st.booleans()),
            exposure=draw(st.sampled_from(Exposure)),
            parked_until=draw(times),
            kept_until=draw(times),
            created_at=draw(times),
        )
        for name in draw(st.sets(st.sampled_from(NAMES)))
    }
    split = draw(st.dictionaries(st.sampled_from(NAMES), weights))
    preview = draw(st.none() | st.sampled_from(NAMES))
    groups = {}
    for name in draw(st.sets(st.sampled_from(NAMES))) | set(split) | ({preview} if preview else set()):
        namings = [Naming("own", split[name], own=True)] if name in split else []
        namings += [Naming("preview", 1, preview=True)] if name == preview else []
        namings += [Naming("other", draw(weights)) for _ in range(draw(st.integers(0, 1)))]
        groups[name] = Group(name, "arn", tuple(namings))
    route = Route(Split(split), draw(st.dictionaries(st.just("x"), weights)), preview=preview)
    states = st.sampled_from(["available", "pending", "failed", "invalid", "error", "disabled", "transient"])
    images = tuple(
        Ami(
            Image(image, Version(image, image * 5), image, draw(states), draw(times)),
            draw(st.sampled_from([None, None, "", "why"])),
            draw(st.booleans()),
        )
        for image in draw(st.sets(st.sampled_from(IMAGES)))
    )
    goal = Aim(Version("v"), draw(st.sampled_from(NAMES)), draw(st.sampled_from(IMAGES)), home=NAMES[0])
    seen = Facts(
        NOW,
        Observed(route, fleets),
        draw(st.sampled_from([None, Standing(), Standing(aim=goal)])),
        groups,
        draw(st.dictionaries(st.sampled_from(NAMES), st.sampled_from([OLD, YOUNG]))),
        (),
        images,
        (),
        {fleet.image_id: name for name, fleet in fleets.items()},
        frozenset(draw(st.sets(st.sampled_from([image * 5 for image in IMAGES])))),
    )
    return seen, Rules(draw(st.integers(1, 4)), 600, draw(st.booleans()))


@reproducible(100)
@given(worlds())
def test_nothing_that_is_needed_is_ever_deletable(world: tuple[Facts, Rules]) -> None:
    seen, rules = world
    gone = {(one.kind, one.name) for one in leftovers(seen, rules) if one.deletable}
    goal = seen.standing.aim if seen.standing else None
    route, fleets = seen.observed.route, seen.observed.fleets
    for name in NAMES:
        of_name = {kind for kind, deleted in gone if deleted == name}
        named = seen.groups[name].namings if name in seen.groups else ()
        if any(one.weight > 0 for one in named) or route.preview == name:
            assert not of_name & {Kind.FLEET, Kind.TARGET_GROUP}, "requests reach it"
        if goal and name in (goal.fleet, goal.home):
            assert not of_name, "a release needs it"
        if name in fleets:
            assert not of_name & {Kind.TARGET_GROUP, Kind.TEMPLATE}, "it is a part of a fleet"
            way_back = fleets[name].proven and not fleets[name].leaving
            until = fleets[name].parked_until
            if way_back and (until is None or until > NOW):
                assert not of_name, "it is the way back"
    newest = sorted(
        (a.image.created_at for a in seen.images if a.image.state == "available" and a.image.created_at), reverse=True
    )
    for one in seen.images:
        if (Kind.IMAGE, one.image.id) not in gone:
            continue
        assert seen.standing is not None
        assert one.image.id not in seen.used
        assert one.pin is None
        assert goal is None or goal.image_id != one.image.id
        assert one.image.version.commit not in seen.recent
        assert one.image.created_at is not None
        assert NOW - one.image.created_at >= SPARED
        if one.image.state == "available":
            assert sum(made >= one.image.created_at for made in newest) > rules.keep_images


@reproducible(100)
@given(worlds())
def test_whoever_is_listed_and_not_deletable_has_something_to_type_next(world: tuple[Facts, Rules]) -> None:
    for one in leftovers(*world):
        assert one.why
        assert one.deletable or one.next
