"""The bake's output on its way to the user: events for the lines, a file for the full log, a failure in three parts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from shipit.bake.output import Line, failed_script, parse, temporary_names
from shipit.bake.packer import Outcome, Packer
from shipit.config import Config
from shipit.errors import BakeError
from shipit.events import BakeLine, Listener
from shipit.model import Version
from shipit.ports import Clock

_REMEMBERED = 400
_SHOWN = 8
_RUNNING = "shipit: running "
_INDENT = "\n        "


class Report:
    """Hears Packer's raw lines."""

    def __init__(self, path: Path, log: TextIO, config: Config, clock: Clock, listener: Listener) -> None:
        self._path = path
        self._log = log
        self._config = config
        self._clock = clock
        self._listener = listener
        self._lines: deque[Line] = deque(maxlen=_REMEMBERED)

    @classmethod
    @contextmanager
    def to(cls, path: Path, config: Config, clock: Clock, listener: Listener) -> Iterator[Report]:
        """A report with its log at `path`. It may show what scripts print, so only the owner can read it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as log:
            path.chmod(0o600)
            yield cls(path, log, config, clock, listener)

    def hear(self, raw: str) -> set[str]:
        """Passes a line on; returns the names of temporary things that it mentions."""
        names: set[str] = set()
        for line in parse(raw):
            now = self._clock.now()
            self._lines.append(line)
            self._log.write(f"{now:%H:%M:%S} {line.text}\n")
            self._listener(
                BakeLine(at=now, app=self._config.app, env=self._config.env, text=line.text, important=line.important)
            )
            names |= temporary_names(line.text)
        self._log.flush()
        return names

    def error(self, version: Version, packer: Packer, outcome: Outcome) -> BakeError:
        """What went wrong, as far as the output tells."""
        lines = list(self._lines)
        script = failed_script(lines)
        if script:
            what = f"baking {version.name} failed: {script.name} ended with exit code {script.status}"
            return BakeError(
                what, self._before(lines), f"correct it, commit, and bake that commit; full log: {self._path}"
            )
        if outcome.timed_out:
            what = f"baking {version.name} was stopped after {self._config.settings.bake.timeout_minutes:g} minutes"
            return BakeError(what, self._last(lines), f"raise bake.timeout_minutes, or see why in {self._path}")
        if outcome.status == 0:
            what = f"{packer.name} succeeded, but no image of {version.name} can be found"
            why = "the template has neither the manifest post-processor nor ami_name = {{ image_name | hcl }}"
            return BakeError(what, why, f"compare it with the built-in one (shipit init); full log: {self._path}")
        what = f"baking {version.name} failed: {packer.name} ended with exit code {outcome.status}"
        return BakeError(what, self._last(lines), f"the full log: {self._path}")

    def _before(self, lines: list[Line]) -> str:
        """What the failed script said last, for a reader who will not open the log."""
        end = next((index for index, line in enumerate(lines) if "shipit-failed:" in line.text), len(lines))
        begins = (index + 1 for index, line in enumerate(lines[:end]) if line.kind == "say" or _RUNNING in line.text)
        said = [line.text.strip() for line in lines[max(begins, default=0) : end]]
        return _INDENT.join(said[-_SHOWN:])

    def _last(self, lines: list[Line]) -> str:
        errors = list(dict.fromkeys(line.text.strip() for line in lines if line.kind == "error"))
        texts = errors or [line.text.strip() for line in lines]
        return _INDENT.join(texts[-_SHOWN:])
