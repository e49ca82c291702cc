"""What does a program of yours say? It runs where shipit runs: exit code 0 passes, 1 fails, 75 means not yet."""

from __future__ import annotations

from pydantic import Field

from shipit.gate import Facts, Gate, Opinion, Running, World
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
    """The program runs beside the release, which goes on to look after the fleet and hears what people want."""

    smokes = True

    def __init__(self, settings: Settings, world: World) -> None:
        self._settings, self._world = settings, world
        self._stage: object = None
        self._running: Running | None = None
        self._passed = False
        self._said = ""

    @property
    def every_seconds(self) -> float:
        return 0.0 if self._running else 5.0

    @property
    def knows_after_seconds(self) -> float:
        """It must have had the time that it may take."""
        return self._settings.timeout_seconds

    def check(self) -> None:
        """There is nothing to refuse: a program that is not there fails."""

    def judge(self, facts: Facts) -> Opinion:
        """Once it has passed it is not asked again in the same stage."""
        if self._stage != facts.since:
            self._begin_stage(facts)
        if self._passed:
            return Opinion(Mood.GOOD, "passed", settled=True)
        if self._running is None:
            self._said = ""
            self._running = self._world.start(
                self._settings.run, environment(facts), self._settings.timeout_seconds, self._hear
            )
        if not self._running.over():
            return Opinion(Mood.NOT_YET, "it is running")
        code, self._running = self._running.code, None
        return self._opinion(code)

    def _begin_stage(self, facts: Facts) -> None:
        if self._running:
            self._running.end()
        self._stage, self._running, self._passed = facts.since, None, False

    def _opinion(self, code: int | None) -> Opinion:
        self._passed = code == 0
        text = f": {self._said}" if self._said else ""
        if code == 0:
            return Opinion(Mood.GOOD, f"passed{text}", settled=True)
        if code == NOT_YET:
            return Opinion(Mood.NOT_YET, f"not yet{text}")
        return Opinion(Mood.BAD, f"exit code {code}{text}" if code is not None else f"it took too long{text}")

    def _hear(self, line: str) -> None:
        self._world.note(line)
        self._said = line.strip()[:SHOWN] or self._said


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
