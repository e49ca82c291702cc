from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from shipit.events import BakeLine, Ended, Note, Phase, Progress, Shifted, Started, StepBegan, parse_event, to_json
from shipit.model import Ending
from tests.fakes.cloud import START

COMMON: dict[str, Any] = {"at": START, "app": "hello", "env": "production"}
EVENTS = [
    Started(**COMMON, command="release", version="v1", who="ann"),
    StepBegan(**COMMON, step="PinFleet", sentence="pin it", fleet="hello-v1"),
    Progress(**COMMON, step="AwaitHealthy", reason="1 of 2 healthy"),
    BakeLine(**COMMON, text="==> done ✓", important=True),
    Shifted(**COMMON, split={"v1": 95.0, "v2": 5.0}),
    Note(**COMMON, text="failed: 😢"),
    Ended(
        **COMMON,
        command="release",
        ending=Ending.SUCCEEDED,
        started_at=START,
        serving={"v1": 100.0},
        phases=(Phase(name="bake", seconds=1.5),),
    ),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_an_event_is_one_line_that_can_be_read_again(event: Any) -> None:
    line = to_json(event)
    assert "\n" not in line
    assert parse_event(line) == event


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_an_event_of_a_later_shipit_with_more_in_it_can_be_read(event: Any) -> None:
    newer = {**json.loads(to_json(event)), "colour": "blue"}
    assert parse_event(json.dumps(newer)) == event


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"kind": "ending"}', '{"kind": "comet", "at": "2026-01-01T00:00:00Z"}']
)
def test_what_is_no_event_is_told_apart(text: str) -> None:
    with pytest.raises(ValidationError):
        parse_event(text)


@pytest.mark.parametrize(
    ("ending", "code"),
    [("succeeded", 0), ("failed_clean", 1), ("failed_dirty", 3), ("shipped_dirty", 4), ("refused", 5), ("waiting", 6)],
)
def test_every_ending_has_its_exit_code(ending: str, code: int) -> None:
    assert Ending(ending).exit_code == code
