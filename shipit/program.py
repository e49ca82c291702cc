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
# How long the last lines of a program are waited for: something that made itself a session of its own may keep the pipe open.
LAST_WORDS_SECONDS = 1.0


class Program:
    """One that was started, and runs on its own; `said` hears every line as it is printed, of both streams. It is in a session of its
    own, and what it started and left behind there ends with it.
    """

    def __init__(
        self,
        command: str,
        environment: Mapping[str, str],
        folder: Path,
        timeout_seconds: float,
        said: Callable[[str], None],
    ) -> None:
        self._process = subprocess.Popen(
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
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=_hear, args=(self._process.stdout, said), daemon=True)
        self._reader.start()
        self._deadline = time.monotonic() + timeout_seconds
        self._over = False
        self.code: int | None = None

    def over(self) -> bool:
        """Whether it has ended, or has just been ended because it took too long: then there is no `code`."""
        if not self._over:
            ended = self._process.poll() is not None
            if ended or time.monotonic() >= self._deadline:
                self.end()
                self.code = self._process.returncode if ended else None
        return self._over

    def end(self) -> None:
        """Ends it now, with all that it started."""
        if self._over:
            return
        self._over = True
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(LAST_WORDS_SECONDS)


def run(
    command: str,
    environment: Mapping[str, str],
    folder: Path,
    timeout_seconds: float,
    said: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> int | None:
    """Waits for it. Its exit code, or None when it took too long. It ends also when `sleep` raises because somebody wants shipit to
    stop.
    """
    program = Program(command, environment, folder, timeout_seconds, said)
    try:
        while not program.over():
            sleep(LOOK_SECONDS)
        return program.code
    finally:
        program.end()


def _hear(stream: IO[str], said: Callable[[str], None]) -> None:
    with stream:
        for line in stream:
            said(line.rstrip("\n"))
