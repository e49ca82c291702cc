from __future__ import annotations

import numpy as np
import pytest

from shipit.counts import Count, Minute
from shipit.release.analysis import Answer, Comparison, Rules

RULES = Rules(tolerance=0.005)


def minutes(count: int, green: tuple[int, int], blue: tuple[int, int] = (5700, 6)) -> list[Minute]:
    return [Minute(Count(*green), Count(*blue))] * count


def seen(*stages: list[Minute], rules: Rules = RULES) -> Comparison:
    comparison = Comparison(rules)
    comparison.recall([Count(6000, 6)] * 10)
    for stage in stages:
        comparison.begin_stage()
        for minute in stage:
            comparison.see(minute)
    return comparison


def test_a_version_that_fails_more_is_harmful() -> None:
    finding = seen(minutes(4, (300, 6))).finding()
    assert finding.answer is Answer.HARM
    assert finding.odds >= finding.odds_needed == 100
    assert finding.sentence("failed").startswith(
        "green 24 of 1200 failed (2 %), blue 24 of 22800 failed (0.11 %): worse by more than the tolerated 0.5 %"
    )


def test_an_equal_version_is_safe_before_the_hold_is_over() -> None:
    finding = seen(minutes(8, (300, 0))).finding()
    assert finding.answer is Answer.SAFE
    assert finding.highest <= RULES.tolerance
    assert "worse by at most" in finding.sentence("failed")


@pytest.mark.parametrize("green", [(0, 0), (41, 0), (41, 1)])
def test_too_few_requests_are_no_safety(green: tuple[int, int]) -> None:
    finding = seen(minutes(1, green)).finding()
    assert finding.answer is Answer.UNDECIDED
    assert ": undecided, " in finding.sentence("failed")


def test_without_any_request_nothing_is_ruled_out() -> None:
    finding = seen(minutes(30, (0, 0))).finding()
    assert (finding.answer, finding.highest) == (Answer.UNDECIDED, 1.0)
    assert finding.sentence("failed").endswith("undecided, too few requests to rule anything out")


def test_a_minute_that_blue_had_no_requests_in_decides_nothing() -> None:
    assert seen(minutes(30, (300, 30), (0, 0))).answer is Answer.UNDECIDED


def test_no_safety_before_the_least_requests() -> None:
    few = Rules(tolerance=0.2, least_requests=1000)
    assert seen(minutes(2, (300, 0)), rules=few).answer is Answer.UNDECIDED
    assert seen(minutes(4, (300, 0)), rules=few).answer is Answer.SAFE


def test_safety_is_earned_anew_in_each_stage_and_harm_is_not_forgotten() -> None:
    assert seen(minutes(8, (300, 0)), []).answer is Answer.UNDECIDED
    assert seen(minutes(8, (300, 0)), minutes(5, (3000, 60), (3000, 3))).answer is Answer.HARM
    assert seen(minutes(4, (300, 6)), minutes(200, (300, 0))).answer is Answer.HARM


def test_what_is_ruled_out_shrinks_with_the_requests() -> None:
    highest = [seen(minutes(count, (300, 0))).finding().highest for count in (1, 2, 5, 20)]
    assert highest == sorted(highest, reverse=True)
    assert highest[0] > 2 * highest[-1]


def test_the_true_difference_is_rarely_ruled_out() -> None:
    """500 releases of a version that is worse by 2 pp; at most 5 % may rule that out, three standard errors allowed."""
    chance, wrong = np.random.default_rng(3), 0
    for _ in range(500):
        comparison = Comparison(RULES)
        for _ in range(10):
            green, blue = int(chance.binomial(200, 0.03)), int(chance.binomial(4000, 0.01))
            comparison.see(Minute(Count(200, green), Count(4000, blue)))
        wrong += comparison.finding().highest < 0.02
    assert wrong <= 25 + 15


def test_a_better_version_is_safe() -> None:
    assert seen(minutes(10, (300, 0), (5700, 570))).answer is Answer.SAFE


def test_what_is_certain_is_not_told_to_the_last_digit() -> None:
    sentence = seen(minutes(4, (300, 300))).finding().sentence("failed")
    assert "green 1200 of 1200 failed (100 %)" in sentence
    assert sentence.endswith("more than 1,000,000 to 1")
