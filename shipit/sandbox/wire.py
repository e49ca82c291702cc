"""HTTP/1.1 on loopback with keep-alive, which is what boto3's connection pool expects.

Werkzeug's own server closes every connection, and waits 10 ms for stray bytes before it does: longer than most calls
take.
"""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.client import responses
from http.server import BaseHTTPRequestHandler
from typing import Protocol


class Headers(Protocol):
    """What is needed of them; a dictionary will do where the case of names is known."""

    def get(self, name: str, default: str, /) -> str: ...

    def items(self) -> Iterable[tuple[str, str]]: ...


@dataclass(frozen=True)
class Request:
    """One request, its body read. `target` is path and query; `headers` ignores the case of names."""

    method: str
    target: str
    headers: Headers
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(frozen=True)
class Answer:
    """What is sent back; the length is added."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class NoAnswer(Exception):
    """The connection is to be closed without an answer: when the client gives up, or after `hold_seconds`."""

    def __init__(self, hold_seconds: float = 0.0) -> None:
        super().__init__("no answer")
        self.hold_seconds = hold_seconds


class Server:
    """Answers requests in one thread per connection until `close`."""

    def __init__(self, answer: Callable[[Request], Answer], port: int = 0) -> None:
        handler = type("Handler", (_Handler,), {"answer": staticmethod(answer)})
        self._server = _TCPServer(("127.0.0.1", port), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="api", daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


class _TCPServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away in the middle is everyday life here (killed releases): no traceback."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # Head and body leave in one packet.
    wbufsize = -1
    answer: Callable[[Request], Answer]

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        try:
            answer = self.answer(Request(self.command, self.path, self.headers, body))
        except NoAnswer as silence:
            self._keep_silent(silence.hold_seconds)
        else:
            self._reply(answer)

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST  # noqa: N815 - http.server looks these names up

    def _reply(self, answer: Answer) -> None:
        lines = [f"HTTP/1.1 {answer.status} {responses.get(answer.status, '')}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items() if name.lower() != "content-length"]
        lines.append(f"Content-Length: {len(answer.body)}")
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    def _keep_silent(self, hold_seconds: float) -> None:
        self.close_connection = True
        if hold_seconds:
            self.connection.settimeout(hold_seconds)
            with contextlib.suppress(OSError):
                self.connection.recv(1)

    def handle_expect_100(self) -> bool:
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the daemon's log is for what goes wrong."""
