"""examples/hello that does not stay well: for chaos runs.

A file CRASH_AFTER beside it holds a number: the process dies after so many requests, and at once when it is started again. Asked
directly (not through the balancer) for /become/sick, its health check fails from then on; /become/dead ends the process.
"""

import itertools
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).parent
VERSION = (HERE / "VERSION").read_text().strip()
CRASH_AFTER = HERE / "CRASH_AFTER"
PATIENCE = int(CRASH_AFTER.read_text()) if CRASH_AFTER.exists() else None
BROKEN = Path("/tmp/fickle-is-broken")
STATE = {"sick": (HERE / "SICK").exists()}
REQUESTS = itertools.count(1)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "fickle"
    timeout = 75

    def do_GET(self) -> None:
        if self.path.startswith("/healthz"):
            self.answer(500 if STATE["sick"] else 200, "sick\n" if STATE["sick"] else "ok\n")
        elif self.path.startswith("/become/") and not self.headers.get("X-Forwarded-For"):
            self.become(self.path.rsplit("/", 1)[1])
        elif PATIENCE and next(REQUESTS) > PATIENCE:
            BROKEN.touch()
            os._exit(1)
        else:
            self.answer(200, f"hello from {VERSION}\n")

    def become(self, what: str) -> None:
        STATE["sick"] = what == "sick"
        self.answer(200, f"{what}\n")
        if what == "dead":
            os._exit(1)

    def answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Version", VERSION)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Quiet: one line per health check would drown what matters."""


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


if __name__ == "__main__":
    if BROKEN.exists():
        raise SystemExit("broken since its first requests")
    with Server(("0.0.0.0", int(os.environ.get("PORT", "8080"))), Handler) as server:
        server.serve_forever()
