"""The bets are fair: exact expectations by enumeration (scipy's binomial), the closest null by scipy's own minimiser."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import rel_entr
from scipy.stats import binom

from shipit.counts import Count, Minute
from shipit.release.evidence import (
    BEYOND,
    FROM_THE_START,
    WITHIN,
    Evidence,
    Side,
    closest_null,
    log_ratio,
    log_sum,
)

SIZES = [(1, 1), (5, 40), (30, 4), (12, 200)]
NULLS = [0.0, 0.005, 0.2]
BASELINES = [0.0001, 0.02, 0.4]


def minute(n: float, x: float, m: float, y: float) -> Minute:
    return Minute(Count(n, x), Count(m, y))


def apart(a: float, b: float) -> float:
    return float(rel_entr(a, b) + rel_entr(1 - a, 1 - b))


def expectation(n: int, m: int, true: tuple[float, float], baseline: float, difference: float, side: Side) -> float:
    """Of the wealth after one minute of n green and m blue requests, bad at the true rates: over all outcomes."""
    total = 0.0
    for x, y in product(range(n + 1), range(m + 1)):
        evidence = Evidence(difference, side)
        evidence.see(minute(n, x, m, y), baseline)
        total += math.exp(evidence.log) * float(binom.pmf(x, n, true[0]) * binom.pmf(y, m, true[1]))
    return total


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("difference", NULLS)
@pytest.mark.parametrize(("n", "m"), SIZES)
def test_nobody_gets_rich_while_the_null_holds(side: Side, difference: float, n: int, m: int) -> None:
    for baseline, blue, more in product(BASELINES, (0.0, 0.003, 0.1, 0.5), (0.0, 0.01, 0.3)):
        green = blue + difference + (more if side is Side.NO_WORSE else -more)
        if 0 <= green <= 1:
            assert expectation(n, m, (green, blue), baseline, difference, side) <= 1 + 1e-6, (green, blue, baseline)


def test_a_bet_that_is_right_grows() -> None:
    assert expectation(30, 60, (0.4, 0.02), 0.02, 0.005, Side.WORSE) > 2
    assert expectation(30, 60, (0.0, 0.0), 0.02, 0.2, Side.NO_WORSE) > 2


@given(
    n=st.integers(1, 10_000),
    m=st.integers(1, 1_000_000),
    green=st.floats(1e-6, 0.99),
    blue=st.floats(1e-6, 0.9),
    difference=st.sampled_from([0.0, 0.001, 0.05, 0.3]),
)
def test_the_closest_null_is_the_one_that_scipy_finds(
    n: int, m: int, green: float, blue: float, difference: float
) -> None:
    def distance(x: float) -> float:
        return n * apart(green, x + difference) + m * apart(blue, x)

    found = closest_null(n, green, m, blue, difference)
    best = minimize_scalar(distance, bounds=(1e-9, 1 - difference - 1e-9), method="bounded", options={"xatol": 1e-10})
    assert distance(found) <= best.fun + 1e-6 * max(1, best.fun)


def test_a_ratio_is_that_of_binomial_likelihoods() -> None:
    seen, green, blue, difference = minute(40, 3, 500, 6), 0.09, 0.01, 0.005
    null = closest_null(40, green, 500, blue, difference)
    expected = binom.logpmf(3, 40, green) + binom.logpmf(6, 500, blue)
    expected -= binom.logpmf(3, 40, null + difference) + binom.logpmf(6, 500, null)
    assert log_ratio(seen, green, blue, difference) == pytest.approx(float(expected), rel=1e-9)


def test_false_alarms_stay_below_alpha_over_all_looks() -> None:
    """2,000 harmless releases of 60 looks at the edge of the null; 1 % may be called harmful, three standard errors allowed."""
    chance, alarms, runs = np.random.default_rng(7), 0, 2000
    for _ in range(runs):
        evidence = Evidence(0.005, Side.WORSE)
        greens, blues = chance.binomial(60, 0.025, 60), chance.binomial(1200, 0.02, 60)
        for x, y in zip(greens, blues, strict=True):
            evidence.see(minute(60, int(x), 1200, int(y)), 0.02)
            if evidence.convinces(0.01):
                alarms += 1
                break
    assert alarms <= runs * 0.01 + 3 * math.sqrt(runs * 0.01 * 0.99)


def test_harm_that_begins_late_is_found_all_the_same() -> None:
    evidence = Evidence(0.005, Side.WORSE)
    for _ in range(60):
        evidence.see(minute(300, 0, 5700, 6), 0.001)
    assert not evidence.convinces(0.5)
    # Half of that hour would have to be won back by whoever had bet everything at first.
    evidence.see(minute(3000, 63, 3000, 3), 0.001)
    assert evidence.convinces(0.001)


def test_a_minute_without_requests_on_one_side_says_nothing() -> None:
    evidence = Evidence(0.005, Side.WORSE)
    evidence.see(minute(0, 0, 100, 3), 0.01)
    evidence.see(minute(100, 90, 0, 0), 0.01)
    assert evidence.log == pytest.approx(0.0)


@given(
    minutes=st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 500), st.integers(0, 500)), max_size=8
    )
)
def test_money_is_bet_once(minutes: list[tuple[int, int, int, int]]) -> None:
    """Were every ratio 1, the wealth would stay 1: what is kept and what is staked add up."""
    evidence = Evidence(0.005, Side.WORSE)
    staked, kept = 0.0, 1.0
    for n, x, m, y in minutes:
        evidence.see(minute(n, min(n, x), m, min(m, y)), 0.01)
        staked, kept = staked + kept - evidence.kept, evidence.kept
    assert staked + kept == pytest.approx(1.0)
    assert not any(n and m for n, _, m, _ in minutes) or staked >= FROM_THE_START - 1e-9


def test_there_are_bets_on_small_and_on_large_harm() -> None:
    assert min(BEYOND) < 1 < max(BEYOND)
    assert all(0 <= part < 1 for part in WITHIN)


def test_counts_add_up_and_have_a_rate() -> None:
    assert (Count(100, 3) + Count(100, 1)).rate == 0.02
    assert Count(0, 0).rate == 0.0


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=5))
def test_logarithms_are_summed_without_overflow(logs: list[float]) -> None:
    assert log_sum(*logs) == pytest.approx(float(np.logaddexp.reduce(logs)))
