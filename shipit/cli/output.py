"""How events are shown: plain lines for people and CI, JSON lines for programs."""

from __future__ import annotations

import os
import re
import shutil
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from shipit.cli.common import Format

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shipit.events import BakeLine, Ended, GateSpoke, Listener, Note, Progress, Shifted, Started, Steered, StepBegan

LONGEST_LINE = 2000
# C0 but for the tab, DEL, C1, what turns the direction of writing, and halves of surrogate pairs.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_COLOURS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36", "dim": "2", "bold": "1"}


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """The text in colour on a terminal; as it is in a pipe, or where NO_COLOR asks for that (no-color.org)."""
    stream = stream or sys.stdout
    wanted = os.environ.get("FORCE_COLOR") or (stream.isatty() and not os.environ.get("NO_COLOR"))
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if wanted else text


def listener_for(format_: Format, *, verbose: bool = False) -> Listener:
    """Who hears the events of a command in this format."""
    if format_ is Format.JSON:
        return _print_json
    return Lines(verbose=verbose, groups=os.environ.get("GITHUB_ACTIONS") == "true").hear


def printable(text: str) -> str:
    """The text without what would steer the terminal that shows it, and with lines that a person can read to their end.

    A complaint repeats what it complains about: a name with escape codes, or one that is a hundred thousand letters long.
    """
    return "\n".join(_shortened(_CONTROL.sub(_escaped, line)) for line in text.split("\n"))


def share_text(shares: Mapping[str, float]) -> str:
    """`v1 95 %, v2 5 %`."""
    return ", ".join(f"{version} {percent:g} %" for version, percent in shares.items()) or "nothing"


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _shortened(line: str) -> str:
    spare = len(line) - LONGEST_LINE
    return line if spare <= 0 else f"{line[: LONGEST_LINE // 2]} [… {spare} letters …] {line[-LONGEST_LINE // 2 :]}"


def _print_json(event: Any) -> None:
    from shipit.events import to_json

    print(to_json(event), flush=True)


class Lines:
    """One line per thing that happened, with the seconds since the start; the bake's output folded in CI."""

    def __init__(self, *, verbose: bool, groups: bool) -> None:
        self._verbose = verbose
        self._groups = groups
        self._began: datetime | None = None
        self._in_bake = False
        self._transient = False

    def hear(self, event: object) -> None:
        kind = getattr(event, "kind", "")
        if self._in_bake and kind not in ("bake", "progress"):
            self._close_group()
        getattr(self, f"_{kind}")(event)

    def _say(self, at: datetime, mark: str, text: str, colour: str = "") -> None:
        if self._transient:
            print("\r\x1b[2K", end="")
            self._transient = False
        self._began = self._began or at
        seconds = (at - self._began).total_seconds()
        line = f"{seconds:7.1f}s {mark} {printable(text)}"
        print(paint(line, colour) if colour else line, flush=True)

    def _started(self, event: Started) -> None:
        commit = f" ({event.commit[:12]})" if event.commit else ""
        self._say(event.at, "▶", f"{event.command} {event.version}{commit} of {event.app} in {event.env}", "bold")

    def _step(self, event: StepBegan) -> None:
        self._say(event.at, "•", event.sentence)
        if event.step == "BakeImage" and self._groups:
            print("::group::Packer", flush=True)
            self._in_bake = True

    def _close_group(self) -> None:
        print("::endgroup::", flush=True)
        self._in_bake = False

    def _progress(self, event: Progress) -> None:
        self._say(event.at, " ", f"  {event.reason}", "dim")

    def _bake(self, event: BakeLine) -> None:
        """All of it where it can be folded or was asked for; on a terminal one line that changes; else what matters."""
        if self._verbose or self._groups:
            self._say(event.at, "│", event.text, "" if event.important else "dim")
        elif event.important and sys.stdout.isatty():
            width = shutil.get_terminal_size().columns - 16
            print(f"\r\x1b[2K{paint(f'            │ {event.text[:width]}', 'dim')}", end="", flush=True)
            self._transient = True
        elif event.important:
            self._say(event.at, "│", event.text)

    def _shifted(self, event: Shifted) -> None:
        self._say(event.at, "→", f"traffic: {share_text(event.split)}", "cyan")

    def _steered(self, event: Steered) -> None:
        self._say(event.at, "✎", f"{event.command}: {event.order}", "bold")

    def _gate(self, event: GateSpoke) -> None:
        mark, colour = {"good": ("✓", "green"), "bad": ("✗", "red")}.get(event.mood.value, ("?", "yellow"))
        self._say(event.at, mark, f"{event.gate}: {event.reason}", colour)

    def _note(self, event: Note) -> None:
        self._say(event.at, "!", event.text, "yellow")

    def _ending(self, event: Ended) -> None:
        good = event.ending.exit_code == 0
        mark, colour = ("✔", "green") if good else ("‖", "yellow") if event.ending.value == "waiting" else ("✘", "red")
        text = f"{event.command} {event.version}: {event.ending.value} after {event.seconds:.1f} s"
        self._say(event.at, mark, text, colour)
        if event.reason:
            print(f"  {'result' if good else 'why'}: {printable(event.reason)}")
        phases = "  ".join(f"{phase.name} {phase.seconds:.1f} s" for phase in event.phases if phase.seconds >= 0.05)
        if phases:
            print(f"  time: {phases}")
        if event.command != "bake":
            print(f"  serving now: {share_text(event.serving)}")
        if event.next:
            print(f"  next: {event.next}" if not event.next.startswith("to undo") else f"  {event.next}", flush=True)
