"""Programs of the user: run where shipit runs, by the shell, with a time limit, their output line by line."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

LOOK_SECONDS = 0.05


def run(
    command: str,
    environment: Mapping[str, str],
    folder: Path,
    timeout_seconds: float,
    said: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> int | None:
    """Its exit code, or None when it took too long. `said` hears every line as it is printed, of both streams.

    It is in a session of its own, and what it started and left behind ends with it, also when `sleep` raises because somebody
    wants shipit to stop.
    """
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None
    reader = threading.Thread(target=_hear, args=(process.stdout, said), daemon=True)
    reader.start()
    deadline = time.monotonic() + timeout_seconds
    try:
        while process.poll() is None and time.monotonic() < deadline:
            sleep(LOOK_SECONDS)
        ended = process.poll() is not None
    finally:
        _end(process)
        reader.join()
        process.stdout.close()
    return process.returncode if ended else None


def _end(process: subprocess.Popen[str]) -> None:
    """Its whole session: something in the background would keep the pipe open."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _hear(stream: IO[str], said: Callable[[str], None]) -> None:
    for line in stream:
        said(line.rstrip("\n"))
