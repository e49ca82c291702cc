"""A listener that keeps clients on their target group by a cookie: off while traffic is shifted, on again at the end."""

from __future__ import annotations

import contextlib

import pytest

from shipit.errors import CloudError
from shipit.model import Ending
from shipit.release.policy import Policy
from tests.release.faults import Calls, Fault, Killed, TroubledCompany, picture
from tests.release.stories import Company

SECONDS = 600
CANARY = "5% 30s, 50% 30s, 100%"


def sticky(company: Company) -> Company:
    """v2 serves, v1 is parked, and the listener keeps clients since before that release."""
    company.release("v1")
    company.cloud.sticky_seconds = SECONDS
    company.release("v2")
    return company


@pytest.fixture
def company() -> Company:
    return sticky(Company())


def fleet_of(company: Company, version: str) -> str:
    return next(name for name, fleet in company.look().fleets.items() if fleet.version.name == version)


def test_at_the_end_clients_are_kept_again_and_the_old_fleet_waits_where_no_cookie_leads(company: Company) -> None:
    assert (company.cloud.sticky_seconds, company.cloud.kept_sticky_seconds) == (SECONDS, 0)
    assert company.cloud.weights == {fleet_of(company, "v2"): 100}
    assert (company.cloud.preview, company.cloud.aside) == (None, {fleet_of(company, "v1")})
    company.pass_time(60)
    assert company.look().fleets[fleet_of(company, "v1")].healthy == 2


def test_while_traffic_is_shifted_no_client_is_kept(company: Company) -> None:
    seen: set[tuple[int, int, int]] = set()

    def look() -> None:
        cloud = company.cloud
        seen.add((min(cloud.weights.values()), cloud.sticky_seconds, cloud.kept_sticky_seconds))

    company.cloud.clock.on_sleep.append(look)
    company.release("v3", CANARY)
    assert {(5, 0, SECONDS), (50, 0, SECONDS)} <= seen
    assert not [one for one in seen if one[0] in (5, 50) and one[1]]


def test_a_rollback_is_one_write_of_traffic_that_takes_clients_with_a_cookie_along(company: Company) -> None:
    company.cloud.writes.clear()
    assert company.rollback().ending is Ending.SUCCEEDED
    kinds = [write.split()[0] for write in company.cloud.writes]
    assert kinds[: kinds.index("shift")] == ["unpark", "keep_stickiness"]
    assert kinds.count("shift") == 1
    assert company.serving == {"v1": 100}
    assert company.cloud.aside == {fleet_of(company, "v2")}
    assert company.cloud.sticky_seconds == SECONDS


def test_a_rollback_is_not_held_up_by_a_setting_that_cannot_be_written_down(company: Company) -> None:
    company.cloud.fail_next["keep_stickiness"] = CloudError("writing it down", "AccessDenied")
    assert company.rollback().ending is Ending.SUCCEEDED
    assert company.serving == {"v1": 100}
    assert any("is lost, set it again by hand" in getattr(event, "reason", "") for event in company.events)


def test_a_release_that_cannot_write_it_down_moves_nothing(company: Company) -> None:
    before = picture(company.cloud)
    company.cloud.fail_next["keep_stickiness"] = CloudError("writing it down", "AccessDenied")
    assert company.release("v3", CANARY).ending is Ending.FAILED_CLEAN
    assert picture(company.cloud) == before


def test_a_canary_that_is_sent_home_leaves_everything_as_it_was(company: Company) -> None:
    before = picture(company.cloud)

    def sicken() -> None:
        if 5 in company.cloud.weights.values():
            company.cloud.sick.add("v3")

    company.cloud.clock.on_sleep.append(sicken)
    assert company.release("v3", CANARY).ending is Ending.FAILED_CLEAN
    assert picture(company.cloud) == before


def test_where_no_preview_can_be_made_clients_are_kept_again_once_the_old_fleet_is_gone() -> None:
    company = Company()
    company.cloud.previewable = False
    sticky(company)
    assert (company.cloud.sticky_seconds, company.cloud.kept_sticky_seconds) == (0, SECONDS)
    assert company.cloud.weights[fleet_of(company, "v1")] == 0
    company.retire()
    assert (company.cloud.sticky_seconds, company.cloud.kept_sticky_seconds) == (SECONDS, 0)


def test_a_retired_fleet_loses_its_rule_first(company: Company) -> None:
    company.retire()
    assert company.versions == ["v2"]
    assert company.cloud.aside == set()
    assert company.cloud.sticky_seconds == SECONDS


def test_staging_another_version_leaves_the_way_back_one_write_away(company: Company) -> None:
    company.run(company.goal("v3", staged=True))
    assert company.look().fleets[fleet_of(company, "v1")].healthy == 2
    assert company.cloud.sticky_seconds == SECONDS
    company.cloud.writes.clear()
    assert company.rollback().ending is Ending.SUCCEEDED
    assert [write.split()[0] for write in company.cloud.writes][:3] == ["unpark", "keep_stickiness", "shift"]


def test_a_failed_rollback_leaves_the_way_back_watched(company: Company) -> None:
    company.release("v3")
    company.cloud.sick.add("v1")
    company.retire()
    company.release("v2")
    assert company.rollback("v1").ending is Ending.FAILED_CLEAN
    assert company.cloud.aside == {fleet_of(company, "v3")}
    assert company.look().fleets[fleet_of(company, "v3")].healthy == 2


def test_all_that_are_kept_warm_wait_aside() -> None:
    company = sticky(Company(policy=Policy(keep_fleets=2)))
    company.release("v3")
    assert company.cloud.aside == {fleet_of(company, "v1"), fleet_of(company, "v2")}
    company.rollback("v1")
    assert company.cloud.aside == {fleet_of(company, "v2"), fleet_of(company, "v3")}


def test_stickiness_that_somebody_switches_on_later_moves_the_way_back_out_of_the_action() -> None:
    company = Company()
    company.release("v1")
    company.release("v2")
    company.cloud.sticky_seconds = SECONDS
    company.release("v2")
    assert company.cloud.weights == {fleet_of(company, "v2"): 100}
    assert company.cloud.sticky_seconds == SECONDS


def test_a_stage_where_no_preview_can_be_made_leaves_clients_where_they_are() -> None:
    company = Company()
    company.cloud.previewable = False
    company.release("v1")
    company.cloud.sticky_seconds = SECONDS
    company.run(company.goal("v2", staged=True))
    assert (company.cloud.sticky_seconds, company.cloud.kept_sticky_seconds) == (SECONDS, 0)


def test_an_expired_fleet_that_waits_aside_is_retired_like_any_other(company: Company) -> None:
    company.pass_time(2 * 3600)
    company.release("v3")
    company.pass_time(600)
    company.retire()
    assert company.versions == ["v3"]
    assert company.cloud.aside == set()


def test_the_plan_tells_it(company: Company) -> None:
    told = company.plan(company.goal("v3", CANARY))
    shifts = [step.sentence for step in told.ship if step.kind == "ShiftTraffic"]
    assert "clients with a cookie come along (stickiness of 600 s is off until the end)" in shifts[0]
    assert not [text for text in shifts[1:] if "cookie" in text]
    assert f"{fleet_of(company, 'v2')} waits behind a rule of its own" in told.tidy[-1].sentence


def count_of_calls() -> int:
    company = TroubledCompany(calls=Calls(), policy=Policy(keep_seconds=3600))
    sticky(company)
    company.calls.made.clear()
    company.release("v3", CANARY)
    return len(company.calls.made)


@pytest.mark.parametrize("after_effect", [False, True])
def test_whoever_goes_on_after_a_crash_finds_what_was_set(after_effect: bool) -> None:
    calls = count_of_calls()
    assert calls > 50
    for number in range(calls):
        company = TroubledCompany(calls=Calls(), policy=Policy(keep_seconds=3600))
        sticky(company)
        company.calls.made.clear()
        company.calls.fault = Fault(number, after_effect, kills=True)
        with contextlib.suppress(Killed):
            company.release("v3", CANARY)
        company.calls.fault = None
        assert company.cloud.sticky_seconds or company.cloud.kept_sticky_seconds, number
        assert company.release("v3", CANARY).ending is Ending.SUCCEEDED
        assert (company.cloud.sticky_seconds, company.cloud.kept_sticky_seconds) == (SECONDS, 0), number
        assert company.complaints == []
