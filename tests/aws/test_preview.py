"""The preview rule where reads are late: made once, and none left."""

from __future__ import annotations

from typing import Any

from shipit.aws.preview import Preview
from tests.contract.clouds import Cloud, Place, cloud, place
from tests.sandbox.conftest import sandbox

__all__ = ["Cloud", "cloud", "place", "sandbox"]


def rules_of(place: Place) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = place.elb.describe_rules(ListenerArn=place.listener)["Rules"]
    return rules


def test_a_rule_that_cannot_be_seen_yet_is_not_made_again(place: Place) -> None:
    place.group("one")
    preview, late = Preview(place.session, place.groups, place.listener), rules_of(place)
    for _ in range(3):
        preview.open("one", late, [], lambda: late)
    assert len(preview.fleets(rules_of(place))["one"]) == 1


def test_a_rule_that_cannot_be_seen_yet_is_removed_all_the_same(place: Place) -> None:
    place.group("one")
    preview, late = Preview(place.session, place.groups, place.listener), rules_of(place)
    preview.open("one", late, [], lambda: late)
    preview.close(late)
    assert preview.fleets(rules_of(place)) == {}


def test_two_rules_of_two_processes_are_both_removed(place: Place) -> None:
    place.group("one")
    late = rules_of(place)
    for _ in range(2):
        Preview(place.session, place.groups, place.listener).open("one", late, [], lambda: late)
    preview = Preview(place.session, place.groups, place.listener)
    assert len(preview.fleets(rules_of(place))["one"]) == 2
    preview.close(rules_of(place))
    assert preview.fleets(rules_of(place)) == {}


def test_a_rule_that_somebody_removed_is_made_again(place: Place) -> None:
    place.group("one")
    preview, before = Preview(place.session, place.groups, place.listener), rules_of(place)
    preview.open("one", before, [], lambda: before)
    (arn,) = preview.fleets(rules_of(place))["one"]
    place.elb.delete_rule(RuleArn=arn)
    preview.open("one", rules_of(place), [], lambda: rules_of(place))
    assert len(preview.fleets(rules_of(place))["one"]) == 1
