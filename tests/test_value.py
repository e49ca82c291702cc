from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict, field, replace

import pytest

from shipit.value import value


@value()
class Point:
    x: int
    y: int = 0
    note: str = field(default="", compare=False)


@value()
class Other:
    x: int
    y: int = 0


def test_values_with_the_same_fields_are_equal_and_hash_alike() -> None:
    assert Point(1, 2) == Point(1, 2, note="another")
    assert hash(Point(1, 2)) == hash(Point(1, 2))
    assert Point(1, 2) != Point(2, 1)


def test_values_of_another_class_are_not_equal() -> None:
    assert Point(1) != Other(1)


def test_a_value_cannot_be_changed() -> None:
    point = Point(1)
    with pytest.raises(FrozenInstanceError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        point.z = 2  # type: ignore[attr-defined]
    with pytest.raises(FrozenInstanceError):
        del point.x
    assert point.x == 1


def test_a_value_prints_itself_and_works_with_the_tools_of_dataclasses() -> None:
    assert repr(Point(1)) == "Point(x=1, y=0, note='')"
    assert replace(Point(1), y=5) == Point(1, 5)
    assert asdict(Point(1)) == {"x": 1, "y": 0, "note": ""}


def test_a_value_can_be_matched_by_position() -> None:
    match Point(3, 4):
        case Point(x, y):
            assert (x, y) == (3, 4)
