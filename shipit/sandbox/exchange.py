"""One HTTP/1.1 connection of the load generator: sends a request, reads the answer, says what went wrong.

Written on asyncio's protocols: a request costs a fraction of what a general client takes, so that one core is enough
to watch a release.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Answered:
    """A complete answer. `version` is the value of the version header, empty without one."""

    status: int
    version: str
    keep_alive: bool


@dataclass(frozen=True)
class Broken:
    """No complete answer: `kind` is `connect`, `reset`, `timeout` or `malformed`."""

    kind: str
    detail: str


Outcome = Answered | Broken


class Exchange(asyncio.Protocol):
    """A connection that carries one request at a time.

    `done` is told the outcome; `idle` says whether the next request may use it. A connection whose end was seen is
    never idle; one that the server closes after the request left is a failure, as a browser would show it for
    anything but a GET.
    """

    def __init__(self, version_header: bytes) -> None:
        self._marker = b"\r\n" + version_header.lower() + b":"
        self._transport: asyncio.Transport | None = None
        self._done: Callable[[Outcome], None] | None = None
        self._buffer = bytearray()
        self._open = False

    @property
    def idle(self) -> bool:
        return self._open and self._done is None and self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes, done: Callable[[Outcome], None]) -> None:
        assert self._transport is not None
        self._done = done
        self._transport.write(request)

    def abort(self, why: Broken | None = None) -> None:
        """Drops the connection at once; a request under way ends with `why`."""
        self._open = False
        if self._transport is not None:
            self._transport.abort()
        if why is not None:
            self._finish(why)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open = True

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._done is None:
            # Nobody asked: the connection cannot be trusted any more.
            self.abort()
            return
        try:
            answer = read_answer(self._buffer, self._marker, at_end=False)
        except ValueError as error:
            self.abort(Broken("malformed", str(error)))
            return
        if answer is not None:
            self._answered(answer)

    def eof_received(self) -> bool:
        self._open = False
        if self._done is not None:
            try:
                answer = read_answer(self._buffer, self._marker, at_end=True)
            except ValueError as error:
                answer = None
                self._finish(Broken("malformed", str(error)))
            if answer is not None:
                self._finish(answer)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._open = False
        got = f" after {len(self._buffer)} bytes of the answer" if self._buffer else " before an answer"
        self._finish(Broken("reset", f"{exc or 'closed by the server'}{got}"))

    def _answered(self, answer: Answered) -> None:
        self._buffer.clear()
        if not answer.keep_alive:
            self._open = False
            if self._transport is not None:
                self._transport.close()
        self._finish(answer)

    def _finish(self, outcome: Outcome) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(outcome)


def read_answer(buffer: bytearray, marker: bytes, *, at_end: bool) -> Answered | None:
    """The answer in `buffer` once it is complete; None while it is not. Raises ValueError for what is not HTTP.

    `marker` is the version header's name as `\\r\\nname:`, lower case. `at_end`: no more bytes will come.
    """
    if len(buffer) >= 5 and not buffer.startswith(b"HTTP/"):
        raise ValueError(f"no HTTP answer: {bytes(buffer[:40])!r}")
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(buffer[: end + 2])
    lower = head.lower()
    try:
        status = int(head[9:12])
    except ValueError:
        raise ValueError(f"no status in {head[:40]!r}") from None
    if not _is_complete(lower, buffer, end + 4, status, at_end=at_end):
        return None
    closes = b"\r\nconnection: close" in lower or head.startswith(b"HTTP/1.0") or (_length(lower) is None and at_end)
    return Answered(status, _value(head, lower, marker), not closes)


def _is_complete(lower: bytes, buffer: bytearray, start: int, status: int, *, at_end: bool) -> bool:
    if status in (204, 304):
        return True
    length = _length(lower)
    if length is not None:
        return len(buffer) - start >= length
    if b"\r\ntransfer-encoding:" in lower:
        return _chunks_end(buffer, start)
    return at_end


def _length(lower: bytes) -> int | None:
    text = _value(lower, lower, b"\r\ncontent-length:")
    return int(text) if text else None


def _value(head: bytes, lower: bytes, marker: bytes) -> str:
    at = lower.find(marker)
    if at < 0:
        return ""
    start = at + len(marker)
    return head[start : head.index(b"\r\n", start)].strip().decode("latin-1")


def _chunks_end(buffer: bytearray, at: int) -> bool:
    """Whether the last chunk arrived. Raises ValueError for a size that is none."""
    while (end := buffer.find(b"\r\n", at)) >= 0:
        size = int(bytes(buffer[at:end]).partition(b";")[0], 16)
        if size == 0:
            return buffer.find(b"\r\n\r\n", end - 2) >= 0 or buffer.find(b"\r\n", end + 2) == end + 2
        at = end + 2 + size + 2
    return False
