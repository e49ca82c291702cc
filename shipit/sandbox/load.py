"""An open-loop load generator: requests leave when they are due, however slow the answers to earlier ones are.

Tools that wait for an answer before the next request hide outages, because a stalled server gets fewer requests
("coordinated omission"). Run as `python -m shipit.sandbox.load URL --rate 100 --seconds 10`; people use `shipit
sandbox load`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from urllib.parse import urlsplit

from shipit.sandbox.exchange import Broken, Exchange, Outcome
from shipit.sandbox.tally import LoadReport, Second, Tally

# How often due requests are sent: finer costs wake-ups, coarser makes bursts.
_TICK_SECONDS = 0.001
_SWEEP_SECONDS = 0.1
# An idle connection is not used for longer than this, as common clients do: the balancer closes it after 60 s, and a client
# that stood still for a moment would send into that closing.
KEEP_ALIVE_SECONDS = 30.0


@dataclass(frozen=True)
class Aim:
    """What to send. `path` overrides the URL's; `rate` is per second; a request without an answer after
    `timeout_seconds` has failed.
    """

    url: str
    rate: float = 100.0
    seconds: float = 10.0
    connections: int = 256
    version_header: str = "X-Version"
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    path: str | None = None
    timeout_seconds: float = 10.0
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS


def run_load(
    url: str,
    rate: float = 100.0,
    seconds: float = 10.0,
    connections: int = 256,
    *,
    version_header: str = "X-Version",
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    path: str | None = None,
    timeout_seconds: float = 10.0,
    keep_alive_seconds: float = KEEP_ALIVE_SECONDS,
    stop: threading.Event | None = None,
    watch: Callable[[Second], None] | None = None,
) -> LoadReport:
    """Sends `rate` requests per second for `seconds`, or until `stop` is set; blocks, in any thread.

    `connections` is the most that are open at once; beyond it requests leave late, and are counted. `watch` is told
    each second once it is over (a slow answer may still change it in the report).
    """
    aim = Aim(
        url,
        rate,
        seconds,
        connections,
        version_header,
        headers or {},
        method,
        path,
        timeout_seconds,
        keep_alive_seconds,
    )
    return asyncio.run(_Run(aim, stop or threading.Event(), watch).go())


class _Run:
    def __init__(self, aim: Aim, stop: threading.Event, watch: Callable[[Second], None] | None) -> None:
        parts = urlsplit(aim.url)
        self._aim = aim
        self._stop = stop
        self._watch = watch
        self._host = parts.hostname or "127.0.0.1"
        self._port = parts.port or 80
        self._request = _request(
            aim, parts.netloc, aim.path or parts.path or "/", parts.query if aim.path is None else ""
        )
        # Idle connections, each with the time of its last answer: the one used last is the least likely to have been closed.
        self._idle: list[tuple[float, Exchange]] = []
        self._open = 0
        self._waiting: deque[float] = deque()
        self._under_way: dict[int, tuple[float, Exchange]] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._next_id = 0

    async def go(self) -> LoadReport:
        self._loop = asyncio.get_running_loop()
        self._tally = Tally(self._loop.time())
        await self._send_all()
        await self._drain()
        for _, exchange in self._idle:
            exchange.abort()
        return self._tally.report(self._aim.url, self._loop.time())

    async def _send_all(self) -> None:
        start, aim, number = self._tally.start, self._aim, 0
        total = max(1, round(aim.rate * aim.seconds))
        sweep = start + _SWEEP_SECONDS
        told = 0
        while number < total and not self._stop.is_set():
            now = self._loop.time()
            while number < total and start + number / aim.rate <= now:
                self._due(start + number / aim.rate)
                number += 1
            if now >= sweep:
                self._expire(now)
                sweep = now + _SWEEP_SECONDS
                told = self._tell(told, int(now - start))
            await asyncio.sleep(max(_TICK_SECONDS, min(start + number / aim.rate - self._loop.time(), _SWEEP_SECONDS)))

    async def _drain(self) -> None:
        """Waits for what is under way, until the last of it has timed out."""
        while self._under_way or self._waiting or self._opening:
            self._expire(self._loop.time())
            await asyncio.sleep(0.01)

    def _tell(self, told: int, second: int) -> int:
        if self._watch is None:
            return second
        for number in range(told, second):
            self._watch(self._tally.second(number))
        return second

    def _due(self, due: float) -> None:
        while self._idle:
            since, exchange = self._idle.pop()
            if exchange.idle and self._loop.time() - since < self._aim.keep_alive_seconds:
                self._send(exchange, due)
                return
            exchange.abort()
            self._open -= 1
        if self._open < self._aim.connections:
            self._open += 1
            task = self._loop.create_task(self._connect_and_send(due))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        else:
            self._waiting.append(due)

    async def _connect_and_send(self, due: float) -> None:
        header = self._aim.version_header.encode()
        connecting = self._loop.create_connection(lambda: Exchange(header), self._host, self._port)
        try:
            _, exchange = await asyncio.wait_for(connecting, self._aim.timeout_seconds)
        except (OSError, TimeoutError) as error:
            self._tally.sent += 1
            self._open -= 1
            self._tally.end(due, self._loop.time(), Broken("connect", str(error) or type(error).__name__))
            self._send_waiting()
            return
        self._send(exchange, due)

    def _send(self, exchange: Exchange, due: float) -> None:
        now = self._loop.time()
        self._tally.leave(due, now)
        self._next_id += 1
        request_id = self._next_id
        self._under_way[request_id] = (now, exchange)
        exchange.send(self._request, lambda outcome: self._ended(request_id, due, exchange, outcome))

    def _ended(self, request_id: int, due: float, exchange: Exchange, outcome: Outcome) -> None:
        del self._under_way[request_id]
        self._tally.end(due, self._loop.time(), outcome)
        if exchange.idle:
            self._idle.append((self._loop.time(), exchange))
        else:
            self._open -= 1
        self._send_waiting()

    def _send_waiting(self) -> None:
        if self._waiting and (self._idle or self._open < self._aim.connections):
            self._due(self._waiting.popleft())

    def _expire(self, now: float) -> None:
        """Requests are kept in the order in which they left, so the oldest come first."""
        limit = now - self._aim.timeout_seconds
        for _, exchange in [entry for entry in self._under_way.values() if entry[0] < limit]:
            exchange.abort(Broken("timeout", f"no answer within {self._aim.timeout_seconds:g} s"))


def _request(aim: Aim, host: str, path: str, query: str) -> bytes:
    target = f"{path}?{query}" if query else path
    fields = {"Host": host, "User-Agent": "shipit-load", "Accept": "*/*"} | dict(aim.headers)
    if aim.method in ("POST", "PUT", "PATCH"):
        fields["Content-Length"] = "0"
    lines = [f"{aim.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def as_text(report: LoadReport) -> str:
    """The report for a terminal."""
    shares = ", ".join(f"{version or 'no version'} {count}" for version, count in sorted(report.versions.items()))
    timing = ", ".join(f"{name} {value:g} ms" for name, value in report.latency_ms.items())
    lines = [
        f"{report.sent} requests in {report.seconds:.1f} s, {report.failed} failed, {report.late} left late",
        f"answers: {shares or 'none'}",
        f"latency: {timing or 'none'}",
    ]
    lines += [f"  {failure.at_seconds:8.3f} s  {failure.kind}: {failure.detail}" for failure in report.first_failures]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m shipit.sandbox.load", description="Open-loop HTTP load.")
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=256, help="most connections at once")
    parser.add_argument("--version-header", default="X-Version")
    parser.add_argument("--header", action="append", default=[], metavar="NAME: VALUE")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    headers = {name.strip(): value.strip() for name, _, value in (text.partition(":") for text in given.header)}
    report = run_load(
        given.url, given.rate, given.seconds, given.connections, version_header=given.version_header, headers=headers
    )
    print(json.dumps(asdict(report), indent=2) if given.json else as_text(report))
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
