"""Packer as a child process: found, asked for its version, run, listened to, and stopped with nothing left behind.

It runs in a session of its own, so that Ctrl-C in the terminal reaches shipit alone, which then asks Packer to clean up
(field notes H5: Packer ignores SIGINT to its parent process, and SIGKILL leaks instance, key pair and security group).
Its output goes to a file, not a pipe: when shipit is killed, Packer survives long enough to clean up.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

from shipit.errors import BakeError, UsageError
from shipit.ports import Clock

POLL_SECONDS = 0.05
CLEAN_UP_SECONDS = 300.0
_LISTEN_SECONDS = 0.2
MODERN = (1, 7)
_QUIET = {"CHECKPOINT_DISABLE": "1", "PACKER_NO_COLOR": "1"}


@dataclass(frozen=True)
class Packer:
    """The `packer` on this machine."""

    path: str
    version: tuple[int, ...]

    @property
    def modern(self) -> bool:
        """True from 1.7 on: builders are plugins, named in `required_plugins`."""
        return self.version >= MODERN

    @property
    def name(self) -> str:
        return "Packer " + ".".join(map(str, self.version))


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its exit code, or `timed_out`."""

    status: int
    timed_out: bool = False


def find_packer(environ: Mapping[str, str]) -> Packer:
    """The `packer` in PATH. Raises `UsageError` when there is none, or another program of that name."""
    path = shutil.which("packer", path=environ.get("PATH"))
    if path is None:
        raise UsageError(
            "there is no Packer on this machine",
            "no `packer` in PATH",
            "apt-get install packer, or brew install packer",
        )
    # cracklib installs a `packer` too, which waits on standard input.
    result = _ask([path, "version"], environ)
    match = re.search(r"^Packer v(\d+)\.(\d+)\.(\d+)", result, re.MULTILINE)
    if match is None:
        raise UsageError(
            f"{path} is not HashiCorp's Packer",
            f"it says {result.strip()[:80]!r}",
            "put HashiCorp's packer first in PATH",
        )
    return Packer(path, tuple(map(int, match.groups())))


def run_packer(
    packer: Packer,
    folder: Path,
    environ: Mapping[str, str],
    clock: Clock,
    timeout_seconds: float,
    hear: Callable[[str], None],
) -> Outcome:
    """Builds the template in `folder`; `hear` gets each line of its machine-readable output.

    Whatever ends the wait (`Stopped`, an error in `hear`), Packer has cleaned up before it is passed on.
    """
    raw = folder / "packer.out"
    command = [packer.path, "build", "-machine-readable", "-color=false", "."]
    deadline = clock.now() + timedelta(seconds=timeout_seconds)
    with raw.open("wb") as out, raw.open("rb") as reader:
        lines = _Lines(reader, hear)
        with _running(command, folder, environ, out, lines) as process:
            while process.poll() is None and clock.now() < deadline:
                lines.hear()
                clock.sleep(POLL_SECONDS)
            timed_out = process.poll() is None
        return Outcome(process.returncode, timed_out)


def install_plugins(packer: Packer, folder: Path, environ: Mapping[str, str]) -> None:
    """`packer init`, for a Packer whose builders are plugins. Raises `BakeError` with Packer's words."""
    if not packer.modern:
        return
    result = subprocess.run(
        [packer.path, "init", "."],
        cwd=folder,
        env=_environment(environ),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if result.returncode:
        why = (result.stderr or result.stdout).strip()
        raise BakeError(
            "Packer's amazon plugin cannot be installed", why, "packer plugins install github.com/hashicorp/amazon"
        )


def built_image(manifest: Path) -> str | None:
    """The AMI id in the manifest of this run; None when the template writes none (field notes H3)."""
    try:
        written = json.loads(manifest.read_text(encoding="utf-8"))
        build = next(build for build in written["builds"] if build["packer_run_uuid"] == written["last_run_uuid"])
        return str(build["artifact_id"]).split(",")[0].rpartition(":")[2] or None
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        return None


class _Lines:
    """Passes on whole lines as they are appended to a file."""

    def __init__(self, reader: IO[bytes], told: Callable[[str], None]) -> None:
        self._reader = reader
        self._told = told
        self._rest = b""

    def hear(self) -> None:
        *lines, self._rest = (self._rest + self._reader.read()).split(b"\n")
        for line in lines:
            self._told(line.decode(errors="replace"))


@contextmanager
def _running(
    command: Sequence[str], folder: Path, environ: Mapping[str, str], out: IO[bytes], lines: _Lines
) -> Iterator[subprocess.Popen[bytes]]:
    """The process; when the block is left it has ended, if need be because it was asked to, and all it said was heard."""
    process = subprocess.Popen(
        [*_dying_with_us(environ), *command],
        cwd=folder,
        env=_environment(environ),
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            _stop(process, lines)
        lines.hear()


def _dying_with_us(environ: Mapping[str, str]) -> list[str]:
    """On Linux: Packer gets SIGTERM, and cleans up, when shipit dies without a word."""
    setpriv = shutil.which("setpriv", path=environ.get("PATH"))
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _stop(process: subprocess.Popen[bytes], lines: _Lines) -> None:
    """SIGTERM, then time to terminate the builder and to delete its key and group; SIGKILL is the last resort."""
    _signal(process, signal.SIGTERM)
    for _ in range(int(CLEAN_UP_SECONDS / _LISTEN_SECONDS)):
        try:
            process.wait(_LISTEN_SECONDS)
        except subprocess.TimeoutExpired:
            lines.hear()
        else:
            return
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The child's: no phone home, no colours, no debug log (it would hold user data and credentials)."""
    return {key: value for key, value in environ.items() if not key.startswith("PACKER_LOG")} | _QUIET


def _ask(command: Sequence[str], environ: Mapping[str, str]) -> str:
    try:
        result = subprocess.run(
            command,
            env=_environment(environ),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return result.stdout + result.stderr
