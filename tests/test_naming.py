from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipit import naming
from tests.release.worlds import reproducible


@reproducible(200)
@given(st.from_regex(r"[a-z][a-z0-9-]{0,30}", fullmatch=True), st.text(max_size=40), st.text(max_size=8))
def test_a_fleet_name_is_one_that_target_groups_take(app: str, env: str, nonce: str) -> None:
    name = naming.fleet_name(app, env, nonce)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert len(name) <= 32


def test_a_fleet_name_is_readable() -> None:
    assert re.fullmatch("hello-production-[0-9a-f]{8}", naming.fleet_name("hello", "production", "1"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("hello", "prod", "1"), ("hello", "prod", "2")),
        (("hello", "prod", "1"), ("hello", "test", "1")),
        (("a-b", "c", "1"), ("a", "b-c", "1")),
        (("a" * 31, "x", "1"), ("a" * 31, "y", "1")),
    ],
    ids=["launch", "environment", "hyphens", "long names"],
)
def test_no_two_launches_share_a_name(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert naming.fleet_name(*one) != naming.fleet_name(*other)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v1.2.3", "v1.2.3"),
        ("feature/x y", "feature/x y"),
        ("é#{}", "____"),
        (" v1 ", "v1"),
        ("", ""),
        ("x" * 300, "x" * 256),
    ],
)
def test_a_tag_value_is_what_aws_takes(text: str, expected: str) -> None:
    assert naming.tag_value(text) == expected


@reproducible(100)
@given(st.text(max_size=400))
def test_every_text_becomes_a_tag_value(text: str) -> None:
    value = naming.tag_value(text)
    assert re.fullmatch(r"[A-Za-z0-9 _.:/=+\-@]{0,256}", value)


def test_an_image_name_says_what_went_into_it() -> None:
    assert naming.image_name("Hello App", "f" * 64) == f"hello-app-{'f' * 32}"
