from __future__ import annotations

import pytest

from shipit.sandbox.cloudwatch.alarms import ALARM, OK, UNKNOWN, Condition, judge
from shipit.sandbox.cloudwatch.rules import RuleError, alarms, holds

GREATER = "GreaterThanThreshold"


@pytest.mark.parametrize(
    ("values", "needed", "missing", "before", "expected"),
    [
        ([1, 2, 9], 1, "missing", OK, ALARM),
        ([1, 2, 5], 1, "missing", ALARM, OK),
        ([9, None, 9], 2, "missing", OK, ALARM),
        ([9, None, None], 2, "missing", OK, OK),
        ([None, None, None], 1, "missing", ALARM, UNKNOWN),
        ([None, None, None], 1, "notBreaching", ALARM, OK),
        ([None, None, 9], 3, "breaching", OK, ALARM),
        ([None, None, None], 1, "ignore", ALARM, ALARM),
        ([1, None, 1], 1, "ignore", ALARM, ALARM),
    ],
)
def test_the_last_periods_decide(
    values: list[float | None], needed: int, missing: str, before: str, expected: str
) -> None:
    assert judge(values, Condition(GREATER, 5, 3, needed, missing), before) == expected


@pytest.mark.parametrize(
    ("comparison", "value", "expected"),
    [
        ("GreaterThanOrEqualToThreshold", 5, ALARM),
        (GREATER, 5, OK),
        ("LessThanThreshold", 5, OK),
        ("LessThanOrEqualToThreshold", 5, ALARM),
    ],
)
def test_comparisons(comparison: str, value: float, expected: str) -> None:
    assert judge([value], Condition(comparison, 5, 1, 1), UNKNOWN) == expected


STATES = {"bad": ALARM, "good": OK, "new": UNKNOWN}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("ALARM(bad)", True),
        ('ALARM("good")', False),
        ("ALARM(good) OR OK(good) AND NOT ALARM(good)", True),
        ("(ALARM(bad) OR ALARM(good)) AND INSUFFICIENT_DATA(new)", True),
        ("NOT (ALARM(bad) AND TRUE)", False),
        ('ALARM("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:bad")', True),
        ("FALSE OR FALSE", False),
    ],
)
def test_rules_of_composite_alarms(rule: str, expected: bool) -> None:
    assert holds(rule, STATES.__getitem__) is expected


@pytest.mark.parametrize("rule", ["", "ALARM(", "ALARM(a) ALARM(b)", "BAD(a)", "(ALARM(a)", "NOT", "ALARM(a) AND"])
def test_a_rule_that_cannot_be_read_is_refused(rule: str) -> None:
    with pytest.raises(RuleError):
        holds(rule, lambda _: OK)


def test_the_alarms_of_a_rule() -> None:
    assert alarms('ALARM(a) OR NOT (OK("b c") AND TRUE)') == {"a", "b c"}
