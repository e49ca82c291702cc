from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.sandbox.cloudwatch.series import KEPT_SECONDS, Metric, Series, StatisticError, summary

METRIC = Metric("AWS/ApplicationELB", "RequestCount", frozenset({("LoadBalancer", "app/a/1")}))
# One second's response times: 1, 2, ... 100 ms.
TIMES = {number / 1000: 1.0 for number in range(1, 101)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Sum", 5.05),
        ("SampleCount", 100),
        ("Average", 0.0505),
        ("Minimum", 0.001),
        ("Maximum", 0.1),
        ("p50", 0.05),
        ("p99", 0.099),
        ("p99.9", 0.1),
        ("p100", 0.1),
        ("p0", 0.001),
        ("TC(0.09:)", 10),
        ("tc(:0.01)", 10),
        ("TC(0.01:0.02)", 10),
        ("PR(:0.09)", 90),
        ("TM(0.098:)", 0.0995),
        ("TS(0.098:)", 0.199),
    ],
)
def test_statistics(name: str, expected: float) -> None:
    assert summary(TIMES, name) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["", "p101", "p", "average", "TM(2%:98%)", "IQM", "TC(a:b)"])
def test_a_statistic_that_the_sandbox_lacks_is_refused(name: str) -> None:
    with pytest.raises(StatisticError, match="not supported"):
        summary(TIMES, name)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(1, 100))
def test_a_percentile_is_a_value_that_enough_do_not_exceed(values: list[int], rank: int) -> None:
    counted = {float(value): float(values.count(value)) for value in values}
    expected = np.percentile(values, rank, method="inverted_cdf")
    assert summary(counted, f"p{rank}") == expected


def test_a_minute_is_seen_when_it_is_over_and_the_lag_has_passed() -> None:
    series = Series(lag_seconds=30)
    series.add(METRIC, 61, {1.0: 3}, "Count", 60)
    series.add(METRIC, 119, {1.0: 4}, "Count", 60)
    assert series.statistic(METRIC, "Sum", 60, 0, 1000, now=149) == {}
    assert series.statistic(METRIC, "Sum", 60, 0, 1000, now=150) == {60: 7}
    assert series.unit(METRIC) == "Count"


def test_periods_gather_what_is_finer() -> None:
    series = Series(lag_seconds=0)
    for second in range(120):
        series.add(METRIC, second, {1.0: 1})
    assert series.statistic(METRIC, "Sum", 60, 0, 120, now=500) == {0: 60, 60: 60}
    assert series.statistic(METRIC, "Sum", 60, 60, 120, now=500) == {60: 60}


def test_what_is_old_is_forgotten() -> None:
    series = Series(lag_seconds=0)
    series.add(METRIC, 0, {1.0: 1})
    series.add(METRIC, KEPT_SECONDS + 1, {1.0: 1})
    assert series.statistic(METRIC, "Sum", 1, 0, 1e6, now=1e6) == {KEPT_SECONDS + 1: 1}


def test_dimensions_must_be_exactly_those_that_were_published() -> None:
    series = Series(lag_seconds=0)
    series.add(METRIC, 0, {1.0: 1})
    assert series.statistic(Metric(METRIC.namespace, METRIC.name), "Sum", 1, 0, 10, now=100) == {}
