"""Hooks: programs of the user that run at fixed points of a release, with the facts in their environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Protocol

from shipit.errors import ShipitError
from shipit.value import value

SHOWN = 200


class Point(StrEnum):
    """When a hook runs. One that fails before anything has moved fails the release; the later ones are only told."""

    BEFORE_BAKE = "before_bake"
    BEFORE_TRAFFIC = "before_traffic"
    AFTER_STAGE = "after_stage"
    AFTER_RELEASE = "after_release"
    AFTER_ROLLBACK = "after_rollback"
    ON_FAILURE = "on_failure"


DECIDING = frozenset({Point.BEFORE_BAKE, Point.BEFORE_TRAFFIC, Point.AFTER_STAGE})


def facts_of(app: str, env: str, version: str, commit: str) -> dict[str, str]:
    """What every hook is told."""
    return {"SHIPIT_APP": app, "SHIPIT_ENV": env, "SHIPIT_VERSION": version, "SHIPIT_COMMIT": commit}


class HookFailed(ShipitError):
    """A hook did not exit with 0, or took too long."""


class Hooks(Protocol):
    def run(self, point: Point, facts: Mapping[str, str]) -> None:
        """Runs the hook of that point, if there is one. Raises `HookFailed` for the deciding ones."""


class NoHooks:
    def run(self, point: Point, facts: Mapping[str, str]) -> None: ...


@value()
class ProgramHooks:
    """Command lines by point. `start` runs one with variables, tells each line of output, and gives the exit code, or None when it
    took too long.
    """

    commands: Mapping[str, str]
    start: Callable[[str, Mapping[str, str], Callable[[str], None]], int | None]
    note: Callable[[str], None]

    def run(self, point: Point, facts: Mapping[str, str]) -> None:
        command = self.commands.get(point)
        if not command:
            return
        lines = [""]

        def said(line: str) -> None:
            self.note(f"{point}: {line}")
            lines.append(line.strip() or lines[-1])

        code = self.start(command, {**facts, "SHIPIT_HOOK": point.value}, said)
        if code == 0:
            return
        how = "took too long" if code is None else f"exited with {code}"
        if point not in DECIDING:
            self.note(f"hook {point} {how}")
            return
        raise HookFailed(f"hook {point} {how}", lines[-1][:SHOWN], f"run it by hand: {command}")
