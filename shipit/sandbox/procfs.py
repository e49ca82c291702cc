"""What /proc of a machine says about the processes of one service.

Like systemd we give everything that a service starts an INVOCATION_ID, and its children inherit it: that finds
grandchildren and daemons too, without cgroups.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def marked(invocation: str) -> list[int]:
    """All living processes of an invocation."""
    mark = f"INVOCATION_ID={invocation}".encode()
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if mark in _environment(folder)]


def send(pids: list[int], number: int) -> None:
    """A signal to each that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def pid_in(path: str | None) -> int | None:
    """What a PIDFile says."""
    try:
        return int(Path(path).read_text()) if path else None
    except (OSError, ValueError):
        return None


def _environment(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""
