"""What does a program of yours say? It runs where shipit runs: exit code 0 passes, 1 fails, 75 means not yet."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from shipit.gate import Facts, Gate, Opinion, World
from shipit.model import Mood
from shipit.section import Number, Section, Undecided

# sysexits.h: "temporary failure; user is invited to retry".
NOT_YET = 75
SHOWN = 200


SEVERAL = True


class Settings(Section):
    """A program that decides."""

    run: str = Field(description="Command line for the shell.", min_length=1, examples=["./smoke-test.sh"])
    timeout_seconds: Number = Field(60, description="It is ended after this long, and has failed.", gt=0, le=3600)
    undecided: Undecided = Field("extend", description="What to do when the hold is over and it says not yet.")


class Command:
    every_seconds = 5.0
    smokes = True

    def __init__(self, settings: Settings, world: World) -> None:
        self._settings, self._world = settings, world
        self._stage: object = None
        self._passed = False

    def check(self) -> None:
        """There is nothing to refuse: a program that is not there fails."""

    def judge(self, facts: Facts) -> Opinion:
        """Once it has passed it is not asked again in the same stage."""
        if self._passed and self._stage == facts.since:
            return Opinion(Mood.GOOD, "passed", settled=True)
        self._stage = facts.since
        code, said = self._run(environment(facts))
        self._passed = code == 0
        text = f": {said}" if said else ""
        if code == 0:
            return Opinion(Mood.GOOD, f"passed{text}", settled=True)
        if code == NOT_YET:
            return Opinion(Mood.NOT_YET, f"not yet{text}")
        return Opinion(Mood.BAD, f"exit code {code}{text}" if code is not None else f"it took too long{text}")

    def _run(self, facts: Mapping[str, str]) -> tuple[int | None, str]:
        """The exit code, None when it took too long, and the last line that it printed."""
        lines = [""]

        def said(line: str) -> None:
            self._world.note(line)
            lines.append(line.strip() or lines[-1])

        code = self._world.run(self._settings.run, facts, self._settings.timeout_seconds, said)
        return code, lines[-1][:SHOWN]


def environment(facts: Facts) -> dict[str, str]:
    """What a program is told: SHIPIT_APP, SHIPIT_ENV, SHIPIT_VERSION, SHIPIT_FLEET, SHIPIT_OLD_FLEET, SHIPIT_PERCENT, SHIPIT_SINCE,
    SHIPIT_PREVIEW.
    """
    return {
        "SHIPIT_APP": facts.app,
        "SHIPIT_ENV": facts.env,
        "SHIPIT_VERSION": facts.version,
        "SHIPIT_FLEET": facts.green,
        "SHIPIT_OLD_FLEET": facts.blue,
        "SHIPIT_PERCENT": f"{float(facts.percent):g}",
        "SHIPIT_SINCE": facts.since.isoformat(),
        "SHIPIT_PREVIEW": facts.token,
    }


def gate(settings: Settings, world: World) -> Gate:
    return Command(settings, world)
