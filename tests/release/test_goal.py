from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shipit.errors import Refused
from shipit.model import Exposure, Pin
from shipit.release.goal import give_up, release_goal, rollback_goal, rollback_targets, serving_goal
from tests.release.sights import DIGEST, NOW, fleet, goal, image, parked, seen, shrunk, version

CANARY_RUNS = seen(fleet("v1"), fleet("v2", exposure=Exposure.SOME), parked("v0"), split={"v1": 40, "v2": 60, "v0": 0})


def test_a_release_of_an_image_that_a_fleet_runs_takes_that_fleet() -> None:
    observed = seen(parked("v1"), fleet("v2"), split={"v1": 0, "v2": 100})
    assert release_goal(version("v1"), image("v1"), DIGEST, observed, "new").fleet == "hello-v1"


@pytest.mark.parametrize(
    "there",
    [fleet("v1", launch_digest="other"), fleet("v1", image_id="ami-other"), fleet("v1", leaving=True)],
    ids=["other launch settings", "other image", "on its way out"],
)
def test_a_fleet_that_is_not_quite_the_same_is_not_taken(there: object) -> None:
    observed = seen(there)  # type: ignore[arg-type]
    assert release_goal(version("v1"), image("v1"), DIGEST, observed, "new").fleet == "new"


def test_of_two_fleets_of_one_image_the_one_that_serves_is_taken() -> None:
    twin = replace(fleet("v1", 9), name="hello-twin")
    observed = seen(twin, fleet("v1"), split={"v1": 100})
    assert release_goal(version("v1"), image("v1"), DIGEST, observed, "new").fleet == "hello-v1"


def test_what_can_be_gone_back_to_comes_warmest_and_most_recent_first() -> None:
    observed = seen(shrunk("v1"), parked("v2"), fleet("v3"), split={"v3": 100})
    targets = rollback_targets(observed, [image("v3"), image("v2"), image("v0")])
    found = [(target.version.name, target.instant, target.fleet) for target in targets]
    assert found == [("v2", True, "hello-v2"), ("v1", False, "hello-v1"), ("v0", False, None)]


def test_a_fleet_that_never_served_everybody_cannot_be_gone_back_to() -> None:
    failed = [fleet("v1", exposure=Exposure.SOME), fleet("v0", exposure=Exposure.NONE)]
    assert rollback_targets(seen(*failed, fleet("v2"), split={"v2": 100})) == ()


def test_an_image_that_is_still_being_made_cannot_be_gone_back_to() -> None:
    pending = image("v1").__class__("ami-v1", version("v1"), state="pending")
    assert rollback_targets(seen(fleet("v2"), split={"v2": 100}), [pending]) == ()


def test_a_rollback_out_of_a_canary_leaves_the_arriving_fleet() -> None:
    wanted = rollback_goal(CANARY_RUNS, rollback_targets(CANARY_RUNS), None, DIGEST, "new")
    assert (wanted.fleet, wanted.instant) == ("hello-v1", True)


@pytest.mark.parametrize("name", ["v1", version("v1").commit, version("v1").commit[:7], "ami-v1", "hello-v1"])
def test_a_version_can_be_named_in_every_way_that_status_shows(name: str) -> None:
    observed = seen(parked("v1"), fleet("v2"), split={"v2": 100})
    assert rollback_goal(observed, rollback_targets(observed), name, DIGEST, "new").fleet == "hello-v1"


@pytest.mark.parametrize("name", ["v9", "v", version("v1").commit[:6]])
def test_a_version_that_is_not_there_is_refused_with_what_is(name: str) -> None:
    observed = seen(parked("v1"), fleet("v2"), split={"v2": 100})
    with pytest.raises(Refused, match=f"no fleet or image of {name}") as refused:
        rollback_goal(observed, rollback_targets(observed), name, DIGEST, "new")
    assert "v1" in refused.value.why
    assert "v2" in refused.value.why


def test_an_image_without_a_fleet_is_gone_back_to_only_when_it_is_named() -> None:
    observed = seen(fleet("v2"), split={"v2": 100})
    targets = rollback_targets(observed, [image("v1")])
    with pytest.raises(Refused, match="no earlier fleet"):
        rollback_goal(observed, targets, None, DIGEST, "new")
    named = rollback_goal(observed, targets, "v1", DIGEST, "new")
    assert (named.fleet, named.image_id) == ("new", "ami-v1")


def test_a_rollback_to_what_serves_says_that_it_serves() -> None:
    observed = seen(parked("v1"), fleet("v2"), split={"v2": 100})
    try:
        wanted = rollback_goal(observed, rollback_targets(observed, [image("v2")]), "v2", DIGEST, "new")
    except Refused as refused:
        assert "serves" in refused.what
    else:
        assert wanted.fleet == "hello-v2"


def test_after_a_failure_what_served_before_serves_again_and_the_new_fleet_goes() -> None:
    before = seen(fleet("v1"), split={"v1": 100})
    back = give_up(goal("v2", before), before)
    assert (back.fleet, back.instant, back.discard) == ("hello-v1", True, {"hello-v2"})


def test_after_a_failed_first_release_nothing_should_serve() -> None:
    before = seen(vacant=True)
    back = give_up(goal("v1", before), before)
    assert (back.fleet, back.discard) == (None, {"hello-v1"})


def test_a_fleet_that_had_a_share_before_is_never_discarded_at_once() -> None:
    back = give_up(goal("v2", CANARY_RUNS), CANARY_RUNS)
    assert back.fleet == "hello-v1"
    assert back.discard == frozenset()


def test_tidying_up_wants_what_serves_now() -> None:
    observed = seen(parked("v1"), fleet("v2", pin=Pin(1)), split={"v1": 0, "v2": 100})
    assert serving_goal(observed, retire_parked=True).fleet == "hello-v2"
    assert serving_goal(seen(), retire_parked=True).fleet is None


def test_the_most_recently_parked_fleet_is_the_default_way_back() -> None:
    older, newer = parked("v1", minutes=10), parked("v2", minutes=40)
    observed = seen(older, newer, fleet("v3", created_at=NOW - timedelta(minutes=20)), split={"v3": 100})
    assert rollback_targets(observed)[0].version.name == "v2"


def test_a_fleet_that_is_kept_to_be_looked_at_is_not_released() -> None:
    kept = replace(fleet("v2"), kept_until=NOW + timedelta(hours=1))
    observed = seen(fleet("v1"), kept, split={"v1": 100})
    assert release_goal(version("v2"), image("v2"), DIGEST, observed, "new").fleet == "new"
    assert release_goal(version("v2"), image("v2"), DIGEST, seen(fleet("v1"), fleet("v2")), "new").fleet == "hello-v2"
