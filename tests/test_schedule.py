from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit.errors import UsageError
from shipit.model import Stage
from shipit.schedule import format_percent, format_schedule, parse_schedule
from tests.release.worlds import reproducible

GOOD = {
    "100%": [(100, 0)],
    "5% 30s, 25% 1m, 100%": [(5, 30), (25, 60), (100, 0)],
    "5%30s,100%": None,
    "0.1% 1.5h, 100 %": [("0.1", 5400), (100, 0)],
    " 50 %  10s ,100.0%": [(50, 10), (100, 0)],
    "99.9%, 100%": [("99.9", 0), (100, 0)],
    "5% 30s, 100% 5m": [(5, 30), (100, 300)],
    "ramp 5% to 50% over 90s, 100%": [(Fraction(5 + 4.5 * step), 9) for step in range(10)] + [(50, 0), (100, 0)],
    "ramp 5% to 50% over 90s, 50% 1h, 100%": [(Fraction(5 + 4.5 * step), 9) for step in range(10)]
    + [(50, 3600), (100, 0)],
    "ramp 1% to 1.2% over 10s, 100%": [(1, 5), ("1.1", 5), ("1.2", 0), (100, 0)],
    "5% 1m, ramp 10% to 100% over 10m": [(5, 60), *((10 + 9 * step, 60) for step in range(10)), (100, 0)],
}
BAD = {
    "": "a stage is a share",
    "5%": "the last stage must be 100%, not 5%",
    "0%, 100%": "more than 0%",
    "101%": "at most 100%",
    "25% 1m, 5% 1m, 100%": "shares must grow, but 5% follows 25%",
    "5%, 5%, 100%": "shares must grow",
    "5% 1m, 100%,": "a stage is a share",
    "5, 100%": "a stage is a share",
    "5% 1d, 100%": "a stage is a share",
    "5% -1s, 100%": "a stage is a share",
    "-5%, 100%": "a stage is a share",
    "0.05%, 100%": "a stage is a share",
    "5% 30, 100%": "a stage is a share",
    "five percent": "a stage is a share",
    "5% 1e9s, 100%": "a stage is a share",
    "5%\n100%": "a stage is a share",
    "5% 1m, 25%, 25% 5m, 100%": "shares must grow",
    "ramp 50% to 5% over 10m, 100%": "shares must grow, but 5% follows 50%",
    "ramp 5% to 5% over 10m, 100%": "shares must grow",
    "ramp 5% to 50%, 100%": "a ramp leads from a share to a larger one",
    "ramp 0% to 50% over 1m, 100%": "more than 0%",
    "ramp 5% to 150% over 1m": "at most 100%",
    "ramp 5% to 50% over 9999h, 100%": "at most 30 days",
    "5% 1m, ramp 2% to 50% over 1m, 100%": "shares must grow, but 2% follows 5%",
    "5% manuel, 100%": "a stage is a share",
    "5% manual 10m, 100%": "a stage is a share",
}


@pytest.mark.parametrize("text", [text for text, stages in GOOD.items() if stages])
def test_a_schedule_becomes_its_stages(text: str) -> None:
    wanted = tuple(Stage(Fraction(str(share)), float(hold)) for share, hold in GOOD[text] or ())
    assert parse_schedule(text) == wanted


@pytest.mark.parametrize(("text", "why"), BAD.items())
def test_a_bad_schedule_says_what_is_wrong_and_how_to_write_it(text: str, why: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_schedule(text)
    assert why in raised.value.why
    assert "5% 30s, 25% 1m, 100%" in raised.value.next


def test_a_stage_may_wait_for_a_person() -> None:
    stages = parse_schedule("5% 10m manual, 25% manual, 100%")
    assert [(stage.hold_seconds, stage.manual) for stage in stages] == [(600, True), (0, True), (0, False)]


def test_a_stage_may_name_its_gates() -> None:
    stages = parse_schedule("5% 10m by errors+smoke-2 manual, 100% 5m by alarms")
    assert [stage.gates for stage in stages] == [("errors", "smoke-2"), ("alarms",)]
    assert parse_schedule(format_schedule(stages)) == stages


@pytest.mark.parametrize("text", ["5% by, 100%", "5% by Errors, 100%", "5% by a+, 100%", "5% by a b, 100%"])
def test_gates_that_cannot_be_names_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_schedule(text)


def test_a_share_and_its_hold_need_a_blank_between_them() -> None:
    with pytest.raises(UsageError):
        parse_schedule("5%30s,100%")


@reproducible(200)
@given(
    st.lists(
        st.tuples(st.integers(1, 999), st.integers(0, 86_400), st.booleans()),
        unique_by=lambda stage: stage[0],
        max_size=6,
    )
)
def test_a_schedule_that_is_printed_can_be_read_again(drawn: list[tuple[int, int, bool]]) -> None:
    stages = tuple(Stage(Fraction(tenths, 10), float(hold), manual) for tenths, hold, manual in sorted(drawn))
    stages = (*stages, Stage(Fraction(100)))
    assert parse_schedule(format_schedule(stages)) == stages


@pytest.mark.parametrize(("share", "text"), [("5", "5"), ("0.1", "0.1"), ("33.3", "33.3"), ("100", "100")])
def test_shares_are_printed_as_they_are_typed(share: str, text: str) -> None:
    assert format_percent(Fraction(share)) == text


def test_a_hold_that_no_calendar_can_hold_is_refused() -> None:
    with pytest.raises(UsageError):
        parse_schedule(f"5% {'9' * 12}h, 100%")


def test_a_hold_of_many_seconds_can_be_read_again() -> None:
    stages = parse_schedule("5% 1234567s, 100%")
    assert parse_schedule(format_schedule(stages)) == stages


@pytest.mark.parametrize("text", ["\u0662\u0665%", "\u0661% 10s, 100%", "5% \u0661m, 100%"])
def test_digits_of_another_script_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_schedule(text)
