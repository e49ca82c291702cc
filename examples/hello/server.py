"""A tiny app to deploy: says its version, on every page and in a header.

Files beside it make a version worse: SICK makes it unhealthy, ERRORS holds the percentage of pages that fail, GARBAGE of those whose
answer is no HTTP, SLOW the milliseconds that each page takes longer, BUSY the requests a second up to which all of them are fine.
"""

import collections
import os
import random
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).parent
VERSION = (HERE / "VERSION").read_text().strip()
SICK = (HERE / "SICK").exists()


def number_in(name: str) -> float:
    """What a file beside this one holds; 0 where there is none."""
    file = HERE / name
    return float(file.read_text()) if file.exists() else 0.0


ERRORS, GARBAGE = number_in("ERRORS") / 100, number_in("GARBAGE") / 100
SLOW, BUSY = number_in("SLOW") / 1000, number_in("BUSY")
RECENT: collections.deque[float] = collections.deque(maxlen=int(BUSY) + 1)


def is_busy() -> bool:
    """Whether more requests than BUSY came within the last second."""
    RECENT.append(time.monotonic())
    return len(RECENT) > BUSY and RECENT[-1] - RECENT[0] < 1


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "hello"
    timeout = 75  # longer than the balancer's idle timeout: it closes connections, never the app under a request

    def do_GET(self) -> None:
        if self.path.startswith("/healthz"):
            self.answer(500 if SICK else 200, "sick\n" if SICK else "ok\n")
        elif self.path.startswith("/slow"):
            time.sleep(1)
            self.answer(200, "slow\n")
        else:
            time.sleep(SLOW)
            if random.random() < GARBAGE:
                self.wfile.write(b"\0\r\n\r\n")
                self.close_connection = True
                return
            fails = is_busy() and random.random() < ERRORS
            self.answer(500 if fails else 200, "it failed\n" if fails else f"hello from {VERSION}\n")

    do_HEAD = do_GET  # noqa: N815 - the base class wants this name

    def answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Version", VERSION)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet: one line per health check would drown what matters."""


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8080"))
    with Server(("0.0.0.0", port), Handler) as server:
        print(f"hello {VERSION} listens on port {port}", flush=True)
        server.serve_forever()
