"""What Packer says, line by line: its machine-readable form as text, and provision.sh's own report of a failed script.

Format: `timestamp,target,type,data…`, with `%!(PACKER_COMMA)`, `\\n` and `\\r` as escapes (field notes H4).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FAILED = re.compile(r"shipit-failed: (?P<status>\d+) (?P<name>.+)")
_TEMPORARY = re.compile(r"\bpacker_[0-9a-f]{8}-[0-9a-f-]{27}\b")
# Packer begins each line with its build's name; there is only one.
_PREFIX = re.compile(r"^(?:==> )?( *)(?:amazon-ebs\.\w+: ?)?")


@dataclass(frozen=True)
class Line:
    """One line for a person. `kind` is `say` for a step of Packer's, `error` for an error of its own or a program's."""

    text: str
    kind: str = "message"

    @property
    def important(self) -> bool:
        return self.kind in ("say", "error")


@dataclass(frozen=True)
class FailedScript:
    name: str
    status: int


def parse(raw: str) -> list[Line]:
    """The lines for a person in one line of `packer -machine-readable`; none for what only machines need."""
    fields = raw.rstrip("\r\n").split(",", 4)
    if len(fields) < 4 or not fields[0].isdigit():
        return [Line(raw.rstrip())] if raw.strip() else []
    kind, data = fields[2], fields[3:]
    if kind == "ui" and len(data) == 2:
        return [Line(text, data[0]) for text in _plain(data[1])]
    if kind == "error":
        return [Line(text, "error") for text in _plain(",".join(data))]
    return []


def failed_script(lines: list[Line]) -> FailedScript | None:
    """The script that provision.sh says has failed."""
    found = (_FAILED.search(line.text) for line in reversed(lines))
    match = next(filter(None, found), None)
    return FailedScript(match["name"].strip(), int(match["status"])) if match else None


def temporary_names(text: str) -> set[str]:
    """Names that Packer invents for what it makes, in whatever sentence they stand."""
    return set(_TEMPORARY.findall(text))


def _plain(data: str) -> list[str]:
    text = data.replace("%!(PACKER_COMMA)", ",").replace("\\r", "").replace("\\n", "\n")
    return [_PREFIX.sub(r"\1", line.rstrip()) for line in text.split("\n") if line.strip()]
