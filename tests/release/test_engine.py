from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest

from shipit.errors import CloudError, Refused
from shipit.events import StepBegan
from shipit.model import Ending, FailureKind, LaunchFailure, Mood, Observed, Verdict
from shipit.release.goal import rollback_goal, rollback_targets
from shipit.release.policy import Policy
from shipit.standing import Orders
from tests.fakes.cloud import START
from tests.release.stories import DIGEST, Company


@pytest.fixture
def company() -> Company:
    return Company()


def test_a_first_release_fills_an_empty_listener(company: Company) -> None:
    outcome = company.release("v1")
    assert outcome.ending is Ending.SUCCEEDED
    assert company.serving == {"v1": 100}


def test_a_release_parks_the_fleet_that_served_before(company: Company) -> None:
    company.release("v1")
    company.release("v2")
    assert company.serving == {"v2": 100}
    parked = next(f for f in company.look().fleets.values() if f.version.name == "v1")
    assert parked.parked_until is not None
    assert parked.desired == 2
    assert parked.healthy == 2


def test_releasing_what_serves_changes_nothing(company: Company) -> None:
    company.release("v1")
    company.cloud.writes.clear()
    assert company.release("v1").ending is Ending.SUCCEEDED
    assert company.cloud.writes == []


def test_a_canary_goes_through_its_stages(company: Company) -> None:
    company.release("v1")
    company.cloud.writes.clear()
    company.release("v2", "5% 30s, 25% 1m, 100%")
    shifts = [w.split(" ", 1)[1] for w in company.cloud.writes if w.startswith("shift")]
    assert [s.split()[0].split("=")[1] + " " + s.split()[1].split("=")[1] for s in shifts] == ["95 5", "75 25", "0 100"]


def test_a_canary_of_a_tenth_of_a_percent_has_that_share(company: Company) -> None:
    company.release("v1")
    company.cloud.writes.clear()
    company.release("v2", "0.1% 1s, 100%")
    assert company.cloud.writes[[w.startswith("shift") for w in company.cloud.writes].index(True)].endswith("=1")


def test_rollback_to_a_parked_fleet_is_one_write(company: Company) -> None:
    company.release("v1")
    company.release("v2")
    company.cloud.writes.clear()
    outcome = company.rollback()
    assert outcome.ending is Ending.SUCCEEDED
    assert company.serving == {"v1": 100}
    kinds = [write.split()[0] for write in company.cloud.writes]
    assert kinds.count("shift") == 1
    assert kinds[: kinds.index("shift")] == ["unpark"], "a date to shrink must not outlive the shift"


def test_rollback_forth_and_back_again(company: Company) -> None:
    company.release("v1")
    company.release("v2")
    company.rollback()
    company.rollback()
    assert company.serving == {"v2": 100}


def test_rollback_to_a_fleet_that_has_shrunk_restores_its_capacity_first(company: Company) -> None:
    company.release("v1")
    company.release("v2")
    company.pass_time(2 * 3600)
    company.cloud.writes.clear()
    company.rollback()
    assert company.serving == {"v1": 100}
    kinds = [write.split()[0] for write in company.cloud.writes]
    assert kinds.index("unpark") < kinds.index("resize") < kinds.index("shift")


def test_rollback_to_a_version_whose_fleet_is_gone_launches_its_image(company: Company) -> None:
    company.release("v1")
    company.release("v2")
    company.retire()
    company.rollback("v1")
    assert company.serving == {"v1": 100}
    assert "bake v1" not in company.cloud.writes[-20:]


def test_a_park_that_lands_while_a_rollback_calls_off_a_release_is_taken_back(company: Company) -> None:
    """A serving fleet with a date to shrink would end its instances an hour later."""
    company.release("v1")
    leave_at(company, 5)
    cloud, engine = company.cloud, company.engine()
    seen = engine.look()
    goal = rollback_goal(seen, rollback_targets(seen), None, DIGEST, "fleet-new")

    def call_off(_: Observed) -> Verdict:
        cloud.park(goal.fleet or "", cloud.clock.now() + timedelta(hours=1), 0)
        return Verdict(Mood.GOOD, "called off")

    assert engine.run(goal, seen, before_tidying=call_off).ending is Ending.SUCCEEDED
    assert cloud.groups[goal.fleet or ""].parked_until is None
    company.pass_time(2 * 3600)
    assert company.look().fleets[goal.fleet or ""].healthy == 2


def leave_at(company: Company, weight: int) -> None:
    """A release of v2 whose process dies at that weight."""

    class Killed(BaseException):
        pass

    def die() -> None:
        if weight in company.cloud.weights.values():
            raise Killed

    company.cloud.clock.on_sleep.append(die)
    with pytest.raises(Killed):
        company.release("v2", "5% 30s, 100%")
    company.cloud.clock.on_sleep.clear()


def test_rollback_without_an_earlier_version_is_refused(company: Company) -> None:
    company.release("v1")
    with pytest.raises(Refused, match="no earlier fleet"):
        company.rollback()


def test_green_starts_at_the_size_that_blue_has_now(company: Company) -> None:
    company.release("v1")
    next(iter(company.cloud.groups.values())).desired = 5
    company.pass_time(60)
    company.release("v2")
    green = next(f for f in company.look().fleets.values() if f.version.name == "v2")
    assert green.desired == 5


def test_a_green_that_never_gets_healthy_ends_failed_clean(company: Company) -> None:
    company.release("v1")
    before = company.look().fleets
    company.cloud.sick.add("v3")
    outcome = company.release("v3", "5% 30s, 100%")
    assert outcome.ending is Ending.FAILED_CLEAN
    assert "Target.ResponseCodeMismatch" in outcome.reason
    assert company.serving == {"v1": 100}
    assert company.look().fleets == before
    assert company.cloud.preview is None


def test_a_first_release_that_fails_leaves_the_listener_vacant(company: Company) -> None:
    company.cloud.sick.add("v1")
    assert company.release("v1").ending is Ending.FAILED_CLEAN
    assert company.cloud.weights == {}
    assert company.versions == []


def test_a_green_that_turns_sick_at_a_stage_is_sent_home(company: Company) -> None:
    company.release("v1")
    cloud = company.cloud
    cloud.clock.on_sleep.append(
        lambda: cloud.sick.add("v2") if any(0 < w < 50 for w in cloud.weights.values()) else None
    )
    outcome = company.release("v2", "5% 10m, 100%")
    assert outcome.ending is Ending.FAILED_CLEAN
    assert company.serving == {"v1": 100}
    assert company.versions == ["v1"]
    assert company.look().serving_fleets()[0].pin is None


def sicken_at(company: Company, version: str, weight: int, orders: Orders) -> None:
    """The version turns sick, and somebody gives orders, once the other one has that weight."""
    cloud = company.cloud

    def happen() -> None:
        if weight in cloud.weights.values():
            cloud.sick.add(version)
            company.control.given = orders

    cloud.clock.on_sleep.append(happen)


@pytest.mark.parametrize("orders", [Orders(), Orders(paused=True), Orders(share=Fraction(5))], ids=str)
def test_a_canary_takes_everything_once_the_other_fleet_is_sick(company: Company, orders: Orders) -> None:
    company.release("v1")
    sicken_at(company, "v1", 5, orders)
    outcome = company.release("v2", "5% 10m, 50% 10m, 100%")
    assert outcome.ending is Ending.SUCCEEDED
    shifts = [w for w in company.cloud.writes if w.startswith("shift")]
    assert [w.rsplit("=", 1)[1] for w in shifts[-2:]] == ["5", "100"], "no stage in between"
    told = [event.sentence for event in company.events if isinstance(event, StepBegan)]
    assert any("since v1 is sick: 0 of 2 healthy" in sentence for sentence in told)


def test_a_share_that_was_asked_for_is_not_given_back_to_a_sick_fleet(company: Company) -> None:
    company.release("v1")
    sicken_at(company, "v1", 5, Orders(share=Fraction(5)))
    company.cloud.clock.on_sleep.append(lambda: promote_after_an_hour(company))
    outcome = company.release("v2", "5% 10m, 100% 10m")
    assert outcome.ending is Ending.SUCCEEDED
    shifts = [w.rsplit("=", 1)[1] for w in company.cloud.writes if w.startswith("shift")]
    assert shifts[-2:] == ["5", "100"]


def promote_after_an_hour(company: Company) -> None:
    if company.cloud.clock.now() - START > timedelta(hours=1):
        company.control.given = Orders(promoted=Fraction(100))


def test_a_release_over_a_fleet_that_is_sick_already_needs_no_canary(company: Company) -> None:
    company.release("v1")
    company.cloud.sick.add("v1")
    company.cloud.writes.clear()
    assert company.release("v2", "5% 10m, 100%").ending is Ending.SUCCEEDED
    assert [w.rsplit("=", 1)[1] for w in company.cloud.writes if w.startswith("shift")] == ["100"]


def test_a_failed_bake_ends_failed_clean_with_its_reason(company: Company) -> None:
    company.release("v1")
    company.cloud.broken_bakes.add("v2")
    outcome = company.release("v2")
    assert outcome.ending is Ending.FAILED_CLEAN
    assert "install.sh exited with 1" in outcome.reason


def test_a_deletion_may_take_longer_than_a_fleet_may_take_to_become_healthy(company: Company) -> None:
    company.release("v1")
    before = company.cloud.observe_fleets()
    company.cloud.sick.add("v2")
    company.cloud.deletion_seconds = 300
    company.policy = Policy(deadline_seconds=60)
    assert company.release("v2").ending is Ending.FAILED_CLEAN
    assert company.cloud.observe_fleets().keys() == before.keys()


def test_a_launch_that_can_never_work_fails_at_once(company: Company) -> None:
    company.release("v1")
    company.cloud.boot_seconds = 1e9
    company.cloud.failures["v2"] = LaunchFailure(FailureKind.QUOTA, "VcpuLimitExceeded")
    company.policy = Policy(deadline_seconds=1e6)
    outcome = company.release("v2")
    assert outcome.ending is Ending.FAILED_CLEAN
    assert "VcpuLimitExceeded" in outcome.reason


def test_a_launch_without_capacity_is_waited_for_until_the_deadline(company: Company) -> None:
    company.release("v1")
    company.cloud.boot_seconds = 300
    company.cloud.failures["v2"] = LaunchFailure(FailureKind.CAPACITY, "InsufficientInstanceCapacity")
    assert company.release("v2").ending is Ending.SUCCEEDED


def test_an_error_of_aws_while_shifting_ends_failed_clean(company: Company) -> None:
    company.release("v1")
    company.cloud.fail_next["shift"] = CloudError("AWS refused", "Throttling: Rate exceeded")
    outcome = company.release("v2")
    assert outcome.ending is Ending.FAILED_CLEAN
    assert company.serving == {"v1": 100}


def test_a_foreign_group_with_a_share_is_refused(company: Company) -> None:
    company.cloud.foreign["targetgroup/legacy"] = 50
    with pytest.raises(Refused, match="legacy"):
        company.release("v1")
    assert company.cloud.writes == []


def test_one_earlier_fleet_is_kept_and_older_ones_are_retired(company: Company) -> None:
    for name in ("v1", "v2", "v3", "v4"):
        company.release(name)
        company.pass_time(300)
    company.release("v5")
    assert {"v4", "v5"} <= set(company.versions)
    company.retire()
    assert company.versions == ["v5"]


def test_a_fleet_that_lost_its_traffic_a_moment_ago_is_not_drained_yet(company: Company) -> None:
    company.release("v1")
    company.release("v2")
    company.cloud.writes.clear()
    company.release("v3")
    assert not [w for w in company.cloud.writes if w.startswith("drain") and "v2" in w]


def test_after_success_the_plan_is_empty(company: Company) -> None:
    company.release("v1")
    company.release("v2")
    assert company.plan(company.goal("v2")).empty


def test_a_release_goes_on_where_another_process_died(company: Company) -> None:
    company.release("v1")
    leave_at(company, 5)
    assert company.release("v2", "5% 30s, 100%").ending is Ending.SUCCEEDED
    assert company.serving == {"v2": 100}
    assert company.versions == ["v1", "v2"]


def test_staging_gives_no_share_and_releasing_it_afterwards_launches_nothing(company: Company) -> None:
    company.release("v1")
    company.run(company.goal("v2", staged=True))
    assert company.serving == {"v1": 100}
    assert company.cloud.preview is not None
    company.cloud.writes.clear()
    company.release("v2")
    assert company.serving == {"v2": 100}
    assert not [w for w in company.cloud.writes if w.startswith(("launch", "bake"))]


def test_an_action_that_authenticates_is_entered_at_weight_zero(company: Company) -> None:
    company.release("v1")
    company.cloud.previewable = False
    company.release("v2")
    assert company.serving == {"v2": 100}
    assert "shift fleet-1-v1=100 fleet-2-v2=0" in company.cloud.writes
