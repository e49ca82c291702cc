"""Do CloudWatch's alarms say anything? Metric and composite ones; a name that is misspelt is refused before anything begins."""

from __future__ import annotations

import difflib
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from shipit.errors import Refused
from shipit.gate import Facts, Gate, Opinion, World
from shipit.model import Mood
from shipit.ports import Alarm, Metrics
from shipit.section import Section, Undecided

AlarmName = Annotated[str, Field(min_length=1, max_length=255)]


class Settings(Section):
    """CloudWatch alarms, metric and composite: none may be in alarm."""

    names: tuple[AlarmName, ...] = Field(description="Names of the alarms.", min_length=1, max_length=100)
    no_data: Literal["warn", "fail"] = Field(
        "warn", description="What an alarm without data means; `fail` sends everything home."
    )
    undecided: Undecided = Field(
        "extend", description="What to do when the hold is over before the alarms can have seen anything of it."
    )


class Alarms:
    """Fails closed: one that cannot be seen any more is as bad as one that is in alarm."""

    every_seconds = 5.0

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._metrics = settings, metrics
        self._window = 0.0

    @property
    def knows_after_seconds(self) -> float:
        """Before that, what they look at is from before the shift, at least in part (field notes F)."""
        return self._window + self._metrics.lag_seconds

    def check(self) -> None:
        """Raises `Refused` for a name that is not known, and for an alarm that is in alarm already (field notes F)."""
        found = self._metrics.alarms(self._settings.names)
        for name in self._settings.names:
            if name not in found:
                known = difflib.get_close_matches(name, self._metrics.alarm_names(), 1)
                near = f"did you mean {known[0]!r}?" if known else "CloudWatch does not know it in this region"
                raise Refused(f"there is no alarm {name!r}", near, "aws cloudwatch describe-alarms")
        if red := [alarm for alarm in found.values() if alarm.state == "ALARM"]:
            names = ", ".join(alarm.name for alarm in red)
            raise Refused(
                f"{names} is in alarm already", red[0].reason, "wait until it is OK, or mend what it is about"
            )

    def judge(self, facts: Facts) -> Opinion:
        found = self._metrics.alarms(self._settings.names)
        gone = [name for name in self._settings.names if name not in found]
        red = [alarm for alarm in found.values() if alarm.state == "ALARM"]
        blind = [alarm.name for alarm in found.values() if _is_blind(alarm)]
        if gone:
            return Opinion(Mood.BAD, f"{', '.join(gone)} cannot be seen any more")
        if red:
            return Opinion(Mood.BAD, "; ".join(f"{alarm.name} is in alarm: {alarm.reason}" for alarm in red))
        if blind and self._settings.no_data == "fail":
            return Opinion(Mood.BAD, f"{', '.join(blind)} has no data")
        self._window = max(alarm.window_seconds for alarm in found.values())
        if facts.now < facts.since + timedelta(seconds=self.knows_after_seconds):
            return Opinion(Mood.NOT_YET, f"silent, but they look back for {self._window:g} s, and metrics come late")
        return Opinion(Mood.GOOD, f"{', '.join(blind)} has no data" if blind else f"{len(found)} alarms are silent")


def _is_blind(alarm: Alarm) -> bool:
    return alarm.state == "INSUFFICIENT_DATA" or not alarm.complete


def gate(settings: Settings, world: World) -> Gate:
    return Alarms(settings, world.metrics)
