"""The console of a machine: every line says who wrote it, and the newest part is always there.

EC2 keeps the newest 64 KiB (GetConsoleOutput); we keep at least that. The file has no name: it is made with
`open_console`, handed from process to process, and gone with its last holder.
"""

from __future__ import annotations

import fcntl
import os

KEPT_BYTES = 256 * 1024
_LONGEST_LINE = 8192


def open_console() -> int:
    """A new console, as a descriptor."""
    console = os.memfd_create("console")
    fcntl.fcntl(console, fcntl.F_SETFL, os.O_APPEND | os.O_RDWR)
    return console


def read(console: int) -> str:
    """All that is kept; safe while others write."""
    size = os.fstat(console).st_size
    return os.pread(console, size, 0).decode(errors="replace")


class Journal:
    """Writes to a console."""

    def __init__(self, console: int) -> None:
        self._console = console

    def say(self, who: str, text: str) -> None:
        self._append(f"{who}: {text}\n".encode())

    def relay(self, who: str, chunk: bytes, rest: bytes) -> bytes:
        """Writes the whole lines of what a process printed; what is left over comes back as `rest` with the next
        chunk.
        """
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST_LINE:
            lines, rest = [*lines, rest], b""
        if lines:
            prefix = f"{who}: ".encode()
            self._append(b"".join(prefix + line + b"\n" for line in lines))
        return rest

    def _append(self, text: bytes) -> None:
        if os.fstat(self._console).st_size + len(text) > 2 * KEPT_BYTES:
            self._forget_oldest()
        os.write(self._console, text)

    def _forget_oldest(self) -> None:
        size = os.fstat(self._console).st_size
        kept = os.pread(self._console, KEPT_BYTES, max(0, size - KEPT_BYTES))
        os.ftruncate(self._console, 0)
        os.write(self._console, kept[kept.find(b"\n") + 1 :])
