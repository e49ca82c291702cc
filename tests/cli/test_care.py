"""gc and doctor as they are typed, on moto: what is printed, for people and for programs, and the exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shipit import naming
from shipit.events import Listener
from shipit.model import Exposure
from shipit.wiring import Shop
from tests.care.shops import images, images_there, shop_in, tag, writing
from tests.cli.shell import Shell, shell
from tests.contract.clouds import ENV, Place, moto_cloud, place_in

__all__ = ["shell"]


@pytest.fixture
def place() -> Iterator[Place]:
    for cloud in moto_cloud():
        yield place_in(cloud)


@pytest.fixture
def typed(place: Place, shell: Shell) -> Shell:
    """The shell, whose commands find the place behind shipit.yml."""

    def open_shop(_hear: Listener, *_: Any, **__: Any) -> Shop:
        return shop_in(place, writing(), shell.folder)

    shell.monkeypatch.delenv("AWS_ENDPOINT_URL")
    shell.monkeypatch.setattr("shipit.wiring.open_shop", open_shop)
    return shell


@pytest.fixture
def blue(place: Place) -> str:
    launch = place.launch("blue")
    place.fleets.launch(launch)
    place.fleets.expose(launch.name, Exposure.ALL)
    group = {"TargetGroupArn": place.groups.arn(launch.name), "Weight": 1}
    place.set_actions([{"Type": "forward", "ForwardConfig": {"TargetGroups": [group]}}])
    return launch.name


def orphan(place: Place, version: str = "orphan") -> str:
    name = place.name(version)
    pairs = [{"Key": naming.APP, "Value": place.app}, {"Key": naming.ENV, "Value": ENV}]
    place.raw_group(name, pairs)
    return name


def test_gc_of_a_tidy_place_says_so(typed: Shell, blue: str) -> None:
    for words in (("gc",), ("gc", "--yes")):
        said = typed.run(*words)
        assert (said.code, said.err) == (0, "")
        assert "nothing is left over" in said.out


def test_gc_lists_and_changes_nothing_until_it_is_told_to(typed: Shell, place: Place, blue: str) -> None:
    name = orphan(place)
    listed = typed.run("gc")
    assert listed.code == 0
    assert f"target group {name}: it has no Auto Scaling group" in listed.out
    assert "next: shipit gc --yes deletes it" in listed.out
    assert typed.run("gc").out == listed.out
    swept = typed.run("gc", "--yes")
    assert swept.code == 0
    assert f"deleted target group {name}" in swept.out
    assert "1 deleted, 0 left" in swept.out
    assert "nothing is left over" in typed.run("gc").out


def test_what_cannot_be_deleted_is_told_in_three_parts_and_stops_no_other(
    typed: Shell, place: Place, blue: str
) -> None:
    first, second = sorted([orphan(place, "a"), orphan(place, "b")])
    place.wire.fail_before("elbv2", "DeleteTargetGroup", "OperationNotPermitted")
    said = typed.run("gc", "-y")
    assert said.code == 4
    assert "1 deleted, 1 left" in said.out
    assert f"left: target group {first}\n  why:  AWS refused while deleting target group {first}" in said.out
    assert "OperationNotPermitted, said AWS\n  next: shipit " in said.out
    assert f"deleted target group {second}" in said.out
    assert "Traceback" not in said.all


def test_gc_as_one_document(typed: Shell, place: Place, blue: str) -> None:
    name = orphan(place)
    listed = json.loads(typed.run("gc", "-o", "json").out)
    assert (listed["dry_run"], listed["leftovers"][0]["outcome"]) == (True, None)
    swept = json.loads(typed.run("gc", "--yes", "-o", "json").out)
    assert swept["dry_run"] is False
    assert [(row["kind"], row["name"], row["outcome"]) for row in swept["leftovers"]] == [
        ("target_group", name, "deleted")
    ]


def test_the_number_of_images_is_taken_from_the_line(typed: Shell, place: Place, blue: str) -> None:
    old, newer, _ = images(place, 3)
    assert "nothing is left over" in typed.run("gc").out
    said = typed.run("gc", "--keep-images", "2", "--yes")
    assert f"deleted image {old}" in said.out
    assert images_there(place, old, newer) == {newer}


def test_a_pinned_image_is_not_listed(typed: Shell, place: Place, blue: str) -> None:
    old, _ = images(place, 2)
    tag(place, old, {naming.KEEP: "the auditors want it"})
    assert old not in typed.run("gc", "--keep-images", "1").out


def test_doctor_fails_with_5_and_says_what_to_type(typed: Shell, blue: str) -> None:
    said = typed.run("doctor")
    assert said.code == 5
    assert "FAIL  git: no usable git repository" in said.out
    assert "  -> git init" in said.out
    assert "ok    load balancer lb is active" in said.out
    assert "\x1b[" not in said.out


def test_doctor_in_colour_where_that_is_wanted(typed: Shell, blue: str) -> None:
    typed.monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[31mFAIL\x1b[0m  git" in typed.run("doctor").out


def test_doctor_as_one_document(typed: Shell, blue: str) -> None:
    said = typed.run("doctor", "-o", "json")
    assert said.code == 5
    document = json.loads(said.out)
    assert {"ok", "fail"} <= {row["mood"] for row in document["findings"]}
    assert all(row["next"] for row in document["findings"] if row["mood"] != "ok")


def test_doctor_where_nothing_answers_as_aws_does_asks_no_further(shell: Shell) -> None:
    said = shell.run("doctor")
    assert said.code == 5
    assert "FAIL  AWS credentials: " in said.out
    assert "warn  nothing in AWS was checked" in said.out
    assert "load balancer" not in said.out
    assert "Traceback" not in said.all
