"""Does green answer as it should? Requests through the load balancer, with the preview header, so that they reach green alone."""

from __future__ import annotations

import re

from pydantic import Field

from shipit import naming
from shipit.errors import ShipitError
from shipit.gate import Facts, Gate, Opinion, World
from shipit.model import Mood
from shipit.section import URL, Number, Section, Whole

SHOWN = 80


SEVERAL = True


class Settings(Section):
    """HTTP requests to green alone."""

    url: str = Field(
        description="Where the load balancer is reached, with the path.",
        pattern=URL,
        examples=["https://shop.example.com/healthz"],
    )
    status: Whole = Field(200, description="Status that is expected.", ge=100, le=599)
    contains: str | None = Field(None, description="Text that the answer must have.")
    within_ms: Number = Field(5000, description="How long an answer may take.", gt=0, le=60_000)
    passes: Whole = Field(3, description="Good answers in a row that settle it.", ge=1, le=1000)
    failures: Whole = Field(2, description="Bad answers in a row that send everything home.", ge=1, le=1000)


class Probe:
    """One request for each look. In a row, since a single answer may be lost on the way."""

    every_seconds = 1.0
    smokes = True

    def __init__(self, settings: Settings, world: World) -> None:
        self._settings, self._world = settings, world
        self._good = self._bad = 0
        self._stage: object = None

    def check(self) -> None:
        """There is nothing to refuse."""

    def judge(self, facts: Facts) -> Opinion:
        if not facts.token:
            return Opinion(Mood.NOT_YET, "no preview rule leads to green alone")
        if self._stage != facts.since:
            self._good, self._bad, self._stage = 0, 0, facts.since
        wrong = self._ask({naming.PREVIEW_HEADER: facts.token})
        self._good, self._bad = (0, self._bad + 1) if wrong else (self._good + 1, 0)
        if self._bad >= self._settings.failures:
            return Opinion(Mood.BAD, f"{wrong} ({self._bad} times in a row)")
        if wrong:
            return Opinion(Mood.NOT_YET, wrong)
        settled = self._good >= self._settings.passes
        return Opinion(
            Mood.GOOD if settled else Mood.NOT_YET,
            f"{self._good} good answer{'' if self._good == 1 else 's'} in a row",
            settled,
        )

    def _ask(self, headers: dict[str, str]) -> str:
        """What is wrong with the answer; empty when nothing is."""
        wanted = self._settings
        try:
            status, body, seconds = self._world.ask(wanted.url, headers, wanted.within_ms / 1000)
        except ShipitError as error:
            return f"{error.what}: {error.why}"
        text = re.sub(r"\s+", " ", body.decode(errors="replace"))[:SHOWN]
        if status != wanted.status:
            return f"status {status}, not {wanted.status}: {text}"
        if wanted.contains is not None and wanted.contains.encode() not in body:
            return f"no {wanted.contains!r} in: {text}"
        if 1000 * seconds > wanted.within_ms:
            return f"it took {1000 * seconds:.0f} ms, more than {wanted.within_ms:g}"
        return ""


def gate(settings: Settings, world: World) -> Gate:
    return Probe(settings, world)
