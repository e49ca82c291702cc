"""The load generator against servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from shipit.sandbox.exchange import Answered, read_answer
from shipit.sandbox.load import run_load

OK = b"HTTP/1.1 200 OK\r\nX-Version: v1\r\nContent-Length: 2\r\n\r\nok"
Answer = Callable[[asyncio.Transport, int], None]


@contextmanager
def server(answer: Answer) -> Iterator[str]:
    """Serves on loopback in a thread of its own; `answer` gets the transport and the number of the request."""
    loop = asyncio.new_event_loop()
    count = 0

    class Peer(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            nonlocal count
            count += 1
            answer(self.transport, count)

    listening = loop.run_until_complete(loop.create_server(Peer, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        listening.close()
        loop.close()


def test_a_healthy_server_gets_every_request_at_the_rate_that_was_asked_for() -> None:
    with server(lambda transport, _: transport.write(OK)) as url:
        report = run_load(url, rate=500, seconds=1)
    assert (report.sent, report.failed, report.versions) == (500, 0, {"v1": 500})
    assert sum(second.versions["v1"] for second in report.timeline) == 500
    assert report.latency_ms["p50"] < 100


def test_a_slow_answer_delays_no_other_request() -> None:
    def slow_first(transport: asyncio.Transport, number: int) -> None:
        if number == 1:
            asyncio.get_running_loop().call_later(0.5, transport.write, OK)
        else:
            transport.write(OK)

    with server(slow_first) as url:
        report = run_load(url, rate=100, seconds=0.5)
    assert report.failed == 0
    assert report.latency_ms["max"] > 450
    assert report.latency_ms["p95"] < 250


def test_too_few_connections_make_requests_late_and_say_so() -> None:
    def slow(transport: asyncio.Transport, _: int) -> None:
        asyncio.get_running_loop().call_later(0.1, transport.write, OK)

    with server(slow) as url:
        report = run_load(url, rate=50, seconds=0.5, connections=1)
    assert report.sent == 25
    assert report.late > 10
    assert report.latency_ms["max"] > 1000


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(lambda transport, _: transport.abort(), "reset", id="reset"),
        pytest.param(lambda transport, _: transport.close(), "reset", id="closed without an answer"),
        pytest.param(lambda transport, _: (transport.write(OK[:-1]), transport.close()), "reset", id="cut body"),
        pytest.param(lambda transport, _: transport.write(b"no such thing\r\n\r\n"), "malformed", id="malformed"),
        pytest.param(lambda transport, _: None, "timeout", id="silence"),
        pytest.param(lambda transport, _: transport.write(OK.replace(b"200 OK", b"503 No")), "5xx", id="5xx"),
    ],
)
def test_every_failure_is_counted_by_its_kind(answer: Answer, kind: str) -> None:
    with server(answer) as url:
        report = run_load(url, rate=50, seconds=0.1, timeout_seconds=0.2)
    assert report.sent == 5
    assert report.failures == {kind: 5}
    assert report.first_failures[0].kind == kind


def test_nobody_listening_is_a_connect_error() -> None:
    with server(lambda transport, _: transport.write(OK)) as url:
        pass
    report = run_load(url, rate=50, seconds=0.1)
    assert report.failures == {"connect": 5}


@pytest.mark.parametrize(("keep_alive_seconds", "connections"), [(30, 1), (0, 5)])
def test_a_connection_that_was_idle_for_too_long_is_not_used_again(keep_alive_seconds: float, connections: int) -> None:
    used = set[asyncio.Transport]()

    def answer(transport: asyncio.Transport, _: int) -> None:
        used.add(transport)
        transport.write(OK)

    with server(answer) as url:
        report = run_load(url, rate=100, seconds=0.05, connections=1, keep_alive_seconds=keep_alive_seconds)
    assert (report.sent, report.failed, len(used)) == (5, 0, connections)


def test_a_connection_that_the_server_closed_while_idle_is_not_used_again() -> None:
    def answer_and_close(transport: asyncio.Transport, _: int) -> None:
        transport.write(OK)
        asyncio.get_running_loop().call_later(0.005, transport.close)

    with server(answer_and_close) as url:
        report = run_load(url, rate=20, seconds=1)
    assert (report.sent, report.failed) == (20, 0)


def test_it_stops_when_told_to() -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with server(lambda transport, _: transport.write(OK)) as url:
        started = time.monotonic()
        report = run_load(url, rate=100, seconds=60, stop=stop)
    assert time.monotonic() - started < 5
    assert 0 < report.sent < 500


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Answered(200, "", True)),
        (b"HTTP/1.1 204 No\r\nx-version:  v2 \r\n\r\n", Answered(204, "v2", True)),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", Answered(200, "", False)),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", Answered(200, "", False)),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Answered(200, "", True)),
    ],
)
def test_an_answer_is_read_when_it_is_complete_and_not_before(text: bytes, found: Answered | None) -> None:
    assert read_answer(bytearray(text), b"\r\nx-version:", at_end=False) == found
