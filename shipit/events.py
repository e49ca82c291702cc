"""What happened, as it is printed, stored and shown: history, CLI and web page all read these.

Each event is one JSON object on one line; `kind` says which. The last one of a command is of kind `ending`. Plain dataclasses,
so that a command that only writes them does not pay for importing pydantic; what is read back is checked by it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, field
from datetime import datetime
from functools import cache
from typing import Any, Literal

from shipit.model import Ending, Mood
from shipit.value import value


@value(kw_only=True)
class _Event:
    at: datetime
    app: str = ""
    env: str = ""


@value(kw_only=True)
class Started(_Event):
    """A command began to work towards a goal."""

    kind: Literal["started"] = "started"
    command: str
    version: str = ""
    commit: str = ""
    fleet: str = ""
    who: str = ""
    where: str = ""


@value(kw_only=True)
class StepBegan(_Event):
    """A step of the plan is being done; `sentence` is the step in English."""

    kind: Literal["step"] = "step"
    step: str
    sentence: str
    fleet: str = ""


@value(kw_only=True)
class Progress(_Event):
    """Why it is still waiting, in words; sent when the words change."""

    kind: Literal["progress"] = "progress"
    step: str
    reason: str


@value(kw_only=True)
class BakeLine(_Event):
    """A line of the bake's output."""

    kind: Literal["bake"] = "bake"
    text: str
    important: bool = False


@value(kw_only=True)
class Shifted(_Event):
    """The split that the balancer now has, read back after a write: percent by version."""

    kind: Literal["shifted"] = "shifted"
    split: Mapping[str, float]


@value(kw_only=True)
class Note(_Event):
    """Something that the user should know but that stops nothing."""

    kind: Literal["note"] = "note"
    text: str


@value()
class Phase:
    """Where the seconds went: time spent in one kind of step."""

    name: str
    seconds: float


@value(kw_only=True)
class GateSpoke(_Event):
    """A gate thinks otherwise than before: its mood (`good`, `not_yet`, `bad`) and its figures in words."""

    kind: Literal["gate"] = "gate"
    gate: str
    mood: Mood
    reason: str
    percent: float
    settled: bool = False


@value()
class GateWord:
    """What a gate said last of the new version at a share, in percent."""

    gate: str
    percent: float
    mood: Mood
    reason: str


@value(kw_only=True)
class Ended(_Event):
    """How the command ended, who serves now, and what to type next."""

    kind: Literal["ending"] = "ending"
    command: str
    ending: Ending
    version: str = ""
    commit: str = ""
    who: str = ""
    where: str = ""
    started_at: datetime | None = None
    seconds: float = 0.0
    serving: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    next: str = ""
    phases: tuple[Phase, ...] = ()
    gates: tuple[GateWord, ...] = ()


@value(kw_only=True)
class Steered(_Event):
    """Somebody asked something of a release that runs, or froze or unfroze the environment: `order` in words."""

    kind: Literal["steered"] = "steered"
    command: str
    order: str
    who: str = ""
    where: str = ""


Event = Started | StepBegan | Progress | BakeLine | Shifted | Note | GateSpoke | Steered | Ended
Listener = Callable[[_Event], None]


def to_document(event: _Event) -> dict[str, Any]:
    """The event as plain JSON values; times as ISO 8601 with their zone."""
    return {key: _plain(value) for key, value in asdict(event).items()}


def to_json(event: _Event) -> str:
    """The event on one line."""
    return json.dumps(to_document(event))


def parse_event(text: str) -> Event:
    """The event that a line of JSON holds. Raises pydantic's ValidationError."""
    event: Event = _adapter().validate_json(text)
    return event


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


@cache
def _adapter() -> Any:
    from typing import Annotated

    from pydantic import Field, TypeAdapter

    return TypeAdapter(Annotated[Event, Field(discriminator="kind")])
