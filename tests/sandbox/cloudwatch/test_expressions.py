from __future__ import annotations

import pytest

from shipit.sandbox.cloudwatch.expressions import ExpressionError, Value, evaluate
from shipit.sandbox.cloudwatch.queries import answer
from shipit.sandbox.cloudwatch.series import Metric, Series

PERIODS = [0, 60, 120]
KNOWN = {"errors": {60: 3.0}, "requests": {0: 100.0, 60: 150.0, 120: 0.0}, "other": {0: 1.0, 60: 2.0}}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("7", 7.0),
        ("-requests", {0: -100, 60: -150, 120: 0}),
        ("errors / requests", {60: 0.02}),
        ("100 * FILL(errors, 0) / requests", {0: 0, 60: 2}),
        ("FILL(other, REPEAT)", {0: 1, 60: 2, 120: 2}),
        ("SUM(requests)", 250.0),
        ("AVG(other) * 2", 3.0),
        ("MAX([errors, other])", {0: 1, 60: 3}),
        ("SUM([requests, other])", {0: 101, 60: 152, 120: 0}),
        ("IF(requests > 0, FILL(errors, 0) / requests, 0)", {0: 0, 60: 0.02, 120: 0}),
        ("ABS(-3)", 3.0),
    ],
)
def test_arithmetic(expression: str, expected: Value) -> None:
    assert evaluate(expression, KNOWN, PERIODS) == pytest.approx(expected)


@pytest.mark.parametrize(
    "expression",
    ["", "errors +", "missing", "ANOMALY_DETECTION_BAND(errors)", "__import__('os')", "errors.real", "'a'"],
)
def test_what_it_cannot_evaluate_is_refused(expression: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(expression, KNOWN, PERIODS)


def test_expressions_may_use_those_that_come_later_and_return_only_what_is_wanted() -> None:
    series = Series(lag_seconds=0)
    for name, value in (("bad", 3.0), ("all", 60.0)):
        series.add(Metric("Shop", name), 60, {value: 1}, resolution=60)
    queries = [
        {"Id": "share", "Expression": "ratio * 100", "Label": "errors"},
        {"Id": "ratio", "Expression": "bad / all", "ReturnData": False},
        *(
            {
                "Id": name,
                "MetricStat": {"Metric": {"Namespace": "Shop", "MetricName": name}, "Period": 60, "Stat": "Sum"},
                "ReturnData": "false",
            }
            for name in ("bad", "all")
        ),
    ]
    (found,) = answer(series, queries, 0, 180, now=1000)
    assert (found.id, found.label, found.values) == ("share", "errors", {60: 5.0})
