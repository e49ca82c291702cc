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
}
BAD = {
    "": "each stage is a share",
    "5%": "the last stage must be 100%, not 5%",
    "0%, 100%": "more than 0%",
    "101%": "at most 100%",
    "25% 1m, 5% 1m, 100%": "shares must grow, but 5% follows 25%",
    "5%, 5%, 100%": "shares must grow",
    "5% 1m, 100%,": "each stage is a share",
    "5, 100%": "each stage is a share",
    "5% 1d, 100%": "each stage is a share",
    "5% -1s, 100%": "each stage is a share",
    "-5%, 100%": "each stage is a share",
    "0.05%, 100%": "each stage is a share",
    "5% 30, 100%": "each stage is a share",
    "five percent": "each stage is a share",
    "5% 1e9s, 100%": "each stage is a share",
    "5%\n100%": "each stage is a share",
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


def test_a_share_and_its_hold_need_a_blank_between_them() -> None:
    with pytest.raises(UsageError):
        parse_schedule("5%30s,100%")


@reproducible(200)
@given(st.lists(st.tuples(st.integers(1, 999), st.integers(0, 86_400)), unique_by=lambda stage: stage[0], max_size=6))
def test_a_schedule_that_is_printed_can_be_read_again(drawn: list[tuple[int, int]]) -> None:
    stages = tuple(Stage(Fraction(tenths, 10), float(hold)) for tenths, hold in sorted(drawn))
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
