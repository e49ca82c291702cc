"""This process on this machine: a mark by which another process here can tell that it has ended."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from pathlib import Path


def host() -> str:
    """This machine and its process table: containers may share a name, and a process id means nothing elsewhere."""
    name = re.sub(r"[^\w.-]", "-", socket.gethostname())[:60]
    try:
        table = f"{Path('/proc/sys/kernel/random/boot_id').read_text()}{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        table = ""
    return f"{name}.{hashlib.sha256(table.encode()).hexdigest()[:8]}"


def mark() -> str:
    """`HOST:PID:START` of this process; START tells it from a later process with the same id."""
    return f"{host()}:{os.getpid()}:{_started(os.getpid())}"


def ended(mark: str) -> bool:
    """True when the process with that mark was on this machine and is gone; False also when that cannot be known."""
    where, _, rest = mark.partition(":")
    pid, _, started = rest.partition(":")
    if where != host() or not pid.isdigit():
        return False
    return not alive(int(pid)) or (started != "" and _started(int(pid)) not in ("", started))


def alive(pid: int) -> bool:
    """A process that is dead but not yet reaped by its parent does nothing any more: not alive."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _field(pid, 0) != "Z"


def _started(pid: int) -> str:
    """Clock ticks since boot when the process began (proc(5), field 22 of stat); empty where there is no /proc."""
    return _field(pid, 19)


def _field(pid: int, number: int) -> str:
    """Field of /proc/PID/stat, counted from the one after the name, which may hold blanks."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[number]
    except (OSError, IndexError):
        return ""
