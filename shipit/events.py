"""What happened, as it is printed, stored and shown: history, CLI and web page all read these.

Each event is one JSON object on one line; `kind` says which. The last one of a command is of kind `ending`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from shipit.model import Ending


class _Event(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    at: datetime
    app: str = ""
    env: str = ""


class Started(_Event):
    """A command began to work towards a goal."""

    kind: Literal["started"] = "started"
    command: str
    version: str = ""
    commit: str = ""
    fleet: str = ""
    who: str = ""
    where: str = ""


class StepBegan(_Event):
    """A step of the plan is being done; `sentence` is the step in English."""

    kind: Literal["step"] = "step"
    step: str
    sentence: str
    fleet: str = ""


class Progress(_Event):
    """Why it is still waiting, in words; sent when the words change."""

    kind: Literal["progress"] = "progress"
    step: str
    reason: str


class BakeLine(_Event):
    """A line of the bake's output."""

    kind: Literal["bake"] = "bake"
    text: str
    important: bool = False


class Shifted(_Event):
    """The split that the balancer now has, read back after a write: percent by version."""

    kind: Literal["shifted"] = "shifted"
    split: dict[str, float]


class Note(_Event):
    """Something that the user should know but that stops nothing."""

    kind: Literal["note"] = "note"
    text: str


class Phase(BaseModel):
    """Where the seconds went: time spent in one kind of step."""

    model_config = ConfigDict(frozen=True)

    name: str
    seconds: float


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
    serving: dict[str, float] = Field(default_factory=dict)
    reason: str = ""
    next: str = ""
    phases: tuple[Phase, ...] = ()


Event = Annotated[
    Started | StepBegan | Progress | BakeLine | Shifted | Note | Ended,
    Field(discriminator="kind"),
]
Listener = Callable[[_Event], None]


def parse_event(text: str) -> Event:
    """The event that a line of JSON holds. Raises pydantic's ValidationError."""
    return _ADAPTER.validate_json(text)


_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)
