"""The preview rule where reads are late: made once, and none left."""

from __future__ import annotations

from typing import Any

import pytest

from shipit import naming
from shipit.aws.preview import HeaderRules, has_room
from tests.contract.clouds import Cloud, Place, cloud, place
from tests.sandbox.conftest import sandbox

__all__ = ["Cloud", "cloud", "place", "sandbox"]


def rules_of(place: Place) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = place.elb.describe_rules(ListenerArn=place.listener)["Rules"]
    return rules


def made_by(place: Place, header: str = naming.PREVIEW_HEADER) -> HeaderRules:
    """The rules as another process sees them."""
    return HeaderRules(place.session, place.groups, place.listener, header)


def test_a_rule_that_cannot_be_seen_yet_is_not_made_again(place: Place) -> None:
    place.group("one")
    preview, late = made_by(place), rules_of(place)
    for _ in range(3):
        preview.open("one", late, {}, lambda: late)
    assert len(preview.fleets(rules_of(place))["one"]) == 1


def test_a_rule_that_cannot_be_seen_yet_is_removed_all_the_same(place: Place) -> None:
    place.group("one")
    preview, late = made_by(place), rules_of(place)
    preview.open("one", late, {}, lambda: late)
    preview.close(late, preview.known(late))
    assert preview.fleets(rules_of(place)) == {}


def test_two_rules_of_two_processes_are_both_removed(place: Place) -> None:
    place.group("one")
    late = rules_of(place)
    for _ in range(2):
        made_by(place).open("one", late, {}, lambda: late)
    preview = made_by(place)
    assert len(preview.fleets(rules_of(place))["one"]) == 2
    preview.close(rules_of(place), preview.known(rules_of(place)))
    assert preview.fleets(rules_of(place)) == {}


def test_a_rule_that_somebody_removed_is_made_again(place: Place) -> None:
    place.group("one")
    preview, before = made_by(place), rules_of(place)
    preview.open("one", before, {}, lambda: before)
    (arn,) = preview.fleets(rules_of(place))["one"]
    place.elb.delete_rule(RuleArn=arn)
    preview.open("one", rules_of(place), {}, lambda: rules_of(place))
    assert len(preview.fleets(rules_of(place))["one"]) == 1


def test_only_the_rules_of_one_fleet_or_all_but_those_are_removed(place: Place) -> None:
    preview = made_by(place)
    for name in ("one", "two", "three"):
        place.group(name)
        preview.open(name, rules_of(place), {}, lambda: rules_of(place))
    preview.close(rules_of(place), ["one"])
    assert set(preview.fleets(rules_of(place))) == {"two", "three"}
    preview.close(rules_of(place), preview.known(rules_of(place)) - {"three"})
    assert set(preview.fleets(rules_of(place))) == {"three"}


def test_rules_for_another_header_are_another_matter(place: Place) -> None:
    place.group("one")
    preview, aside = made_by(place), made_by(place, naming.ASIDE_HEADER)
    for rules in (preview, aside):
        rules.open("one", rules_of(place), {}, lambda: rules_of(place))
    preview.close(rules_of(place), preview.known(rules_of(place)))
    assert (preview.fleets(rules_of(place)), list(aside.fleets(rules_of(place)))) == ({}, ["one"])


def test_a_rewritten_path_is_rewritten_for_the_preview_as_well(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.group("one")
    preview = made_by(place)
    sent: dict[str, Any] = {}

    class Elb:
        def create_rule(self, **given: Any) -> dict[str, Any]:
            sent.update(given)
            return {"Rules": [{"RuleArn": "arn"}]}

    monkeypatch.setattr(HeaderRules, "_elb", Elb())
    rewrite = [{"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/api/(.*)$", "Replace": "/$1"}]}}]
    preview.open("one", [], {"Conditions": [], "Transforms": rewrite}, list)
    assert sent["Transforms"] == rewrite
    sent.clear()
    made_by(place).open("one", [], {"Conditions": []}, list)
    assert "Transforms" not in sent


@pytest.mark.parametrize(("paths", "room"), [(4, True), (5, False)])
def test_a_rule_takes_five_values_over_all_its_conditions(paths: int, room: bool) -> None:
    values = [f"/{number}/*" for number in range(paths - 1)]
    host = {"Field": "host-header", "Values": ["shop.example"], "HostHeaderConfig": {"Values": ["shop.example"]}}
    path = {"Field": "path-pattern", "Values": values, "PathPatternConfig": {"Values": values}}
    assert has_room({"Conditions": [host, path]}) is room
