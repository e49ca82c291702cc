"""Does green fail more often than blue? Answers with 5xx and connections that the target refused, of the same minutes."""

from __future__ import annotations

from pydantic import Field

from shipit.gate import Gate, World
from shipit.release.analysis import Rules
from shipit.release.compared import Compared
from shipit.section import Number, Section, Undecided, Whole


class Settings(Section):
    """Green fails more often than blue, by the target groups' own counts."""

    tolerance: Number = Field(0.5, description="Percentage points that green may be worse.", gt=0, lt=100)
    least_requests: Whole = Field(100, description="Requests that green must have had before it is called safe.", ge=1)
    warm_up_seconds: Number = Field(60, description="Time after a shift that does not count.", ge=0, le=3600)
    undecided: Undecided = Field("extend", description="What to do when the hold is over and nothing is known.")


def gate(settings: Settings, world: World) -> Gate:
    rules = Rules(settings.tolerance / 100, least_requests=settings.least_requests)
    return Compared(rules, world.metrics.answered, world.metrics, settings.warm_up_seconds, "failed")
