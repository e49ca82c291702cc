"""Health as AWS counts it: one pass makes a new target healthy, then thresholds rule; every state has its reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from shipit.sandbox.health import (
    FAILED,
    PASSED,
    TIMED_OUT,
    Loop,
    Outcome,
    Progress,
    advance,
    check_forever,
    codes,
    described,
    probe,
)
from shipit.sandbox.seams import HealthCheck, Target

CHECK = HealthCheck(healthy_threshold=3, unhealthy_threshold=2, interval_seconds=0.2, timeout_seconds=0.1)
TARGET = Target("i-1", "127.0.0.1", 8080)
SICK = Outcome(False, "Target.ResponseCodeMismatch", "Health checks failed with these codes: [500]")


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        pytest.param("", "initial", id="nothing yet"),
        pytest.param("+", "healthy", id="one pass is enough for a new target"),
        pytest.param("-", "initial", id="one failure leaves it initial"),
        pytest.param("-+", "healthy", id="a late first pass"),
        pytest.param("--", "unhealthy", id="never healthy"),
        pytest.param("+-", "healthy", id="one failure is forgiven"),
        pytest.param("+-+-+-", "healthy", id="failures must follow each other"),
        pytest.param("+--", "unhealthy", id="two failures"),
        pytest.param("+--++", "unhealthy", id="two passes are not three"),
        pytest.param("+--++-++", "unhealthy", id="passes must follow each other"),
        pytest.param("+--+++", "healthy", id="three passes"),
        pytest.param("--+", "unhealthy", id="after unhealthy the threshold holds, though it never was healthy"),
    ],
)
def test_states_follow_the_thresholds(outcomes: str, state: str) -> None:
    progress = Progress()
    for outcome in outcomes:
        progress = advance(progress, PASSED if outcome == "+" else SICK, CHECK)
    assert progress.state == state


@pytest.mark.parametrize(
    ("target", "progress", "claims", "state", "reason"),
    [
        (TARGET, Progress(), {}, "initial", "Elb.RegistrationInProgress"),
        (TARGET, Progress(checking=True), {}, "initial", "Elb.InitialHealthChecking"),
        (TARGET, Progress("healthy", 1, True, PASSED), {}, "healthy", None),
        (TARGET, Progress("unhealthy", 2, True, SICK), {}, "unhealthy", "Target.ResponseCodeMismatch"),
        (TARGET, Progress("unhealthy", 2, True, TIMED_OUT), {}, "unhealthy", "Target.Timeout"),
        (TARGET, Progress("unhealthy", 2, True, FAILED), {}, "unhealthy", "Target.FailedHealthChecks"),
        (TARGET, Progress("unhealthy", 1, True, PASSED), {}, "unhealthy", "Target.FailedHealthChecks"),
        (TARGET, Progress(), {"referenced": False}, "unused", "Target.NotInUse"),
        (Target("i-1", "", 1, zone_enabled=False), Progress(), {}, "unused", "Target.NotInUse"),
        (Target("i-1", "", 1, runs=False), Progress(), {}, "unused", "Target.InvalidState"),
        (TARGET, Progress("healthy"), {"draining": True}, "draining", "Target.DeregistrationInProgress"),
    ],
)
def test_every_state_has_its_reason(
    target: Target, progress: Progress, claims: dict[str, bool], state: str, reason: str | None
) -> None:
    health = described(target, progress, **{"referenced": True, "draining": False, **claims})
    assert (health.state, health.reason) == (state, reason)


@pytest.mark.parametrize(
    ("matcher", "accepted", "refused"),
    [("200", 200, 201), ("200,202", 202, 201), ("200-299", 299, 300), ("200, 300-301", 301, 302)],
)
def test_the_matcher_names_codes(matcher: str, accepted: int, refused: int) -> None:
    assert accepted in codes(matcher)
    assert refused not in codes(matcher)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[Target]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    async with server:
        yield Target("i-1", "127.0.0.1", server.sockets[0].getsockname()[1])


def saying(answer: bytes, heard: list[bytes] | None = None, after_seconds: float = 0) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if heard is not None:
            heard.append(request)
        await asyncio.sleep(after_seconds)
        writer.write(answer)
        writer.close()

    return handler


@pytest.mark.parametrize(
    ("handler", "outcome"),
    [
        pytest.param(saying(b"HTTP/1.1 200 OK\r\n\r\n"), PASSED, id="200"),
        pytest.param(saying(b"HTTP/1.1 500 No\r\n\r\n"), SICK, id="500"),
        pytest.param(saying(b"SSH-2.0-x\r\n"), FAILED, id="not http"),
        pytest.param(saying(b""), FAILED, id="closed"),
        pytest.param(saying(b"HTTP/1.1 200 OK\r\n\r\n", after_seconds=0.3), TIMED_OUT, id="slow"),
    ],
)
def test_a_check_says_why_it_failed(handler: Handler, outcome: Outcome) -> None:
    async def ask() -> Outcome:
        async with listening(handler) as target:
            return await probe(target, CHECK)

    assert asyncio.run(ask()) == outcome


def test_a_refused_connection_fails_the_check() -> None:
    async def ask() -> Outcome:
        async with listening(saying(b"")) as target:
            pass
        return await probe(target, CHECK)

    assert asyncio.run(ask()) == FAILED


def test_the_check_looks_like_that_of_a_load_balancer() -> None:
    heard: list[bytes] = []

    async def ask() -> Target:
        async with listening(saying(b"HTTP/1.1 200 OK\r\n\r\n", heard)) as target:
            await probe(target, HealthCheck(path="/health?deep=1"))
            return target

    target = asyncio.run(ask())
    assert heard[0].startswith(b"GET /health?deep=1 HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{target.port}\r\nUser-Agent: ELB-HealthChecker/2.0\r\n".encode() in heard[0]
    assert b"\r\nConnection: close\r\n" in heard[0]


def test_the_interval_is_counted_from_start_to_start() -> None:
    starts: list[float] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        starts.append(asyncio.get_running_loop().time())
        await saying(b"HTTP/1.1 200 OK\r\n\r\n", after_seconds=0.05)(reader, writer)

    async def watch() -> None:
        async with listening(handler) as target:
            checks = asyncio.create_task(check_forever(target, CHECK, Progress(), lambda _: None))
            await asyncio.sleep(1.15)
            checks.cancel()

    asyncio.run(watch())
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert len(starts) in (5, 6)
    assert all(0.15 < gap < 0.25 for gap in gaps)


def test_closing_the_loop_ends_what_runs_in_it() -> None:
    loop = Loop()
    late = loop.after(60, lambda: None)
    loop.close()
    assert late.cancelled()
