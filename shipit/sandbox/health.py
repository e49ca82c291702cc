"""Health checks with the states, thresholds and reasons of an Application Load Balancer (field notes A4, A5).

HAProxy's own checks know other states and cannot say why; these decide, and HAProxy is told.
"""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from shipit.sandbox.seams import HealthCheck, Target, TargetHealth

# On AWS the first check comes anywhere within the interval; here early in it, so that nobody waits for chance.
FIRST_CHECK_SHARE = 0.2


@dataclass(frozen=True)
class Outcome:
    """One check: passed, or why not, in AWS's words."""

    passed: bool
    reason: str | None = None
    description: str | None = None


@dataclass(frozen=True)
class Progress:
    """What the checks so far amount to. `in_a_row` counts the latest outcomes that were alike."""

    state: str = "initial"
    in_a_row: int = 0
    checking: bool = False
    last: Outcome | None = None


PASSED = Outcome(True)
TIMED_OUT = Outcome(False, "Target.Timeout", "Request timed out")
FAILED = Outcome(False, "Target.FailedHealthChecks", "Health checks failed")


def advance(progress: Progress, outcome: Outcome, check: HealthCheck) -> Progress:
    """The next state. A target's very first pass makes it healthy, whatever the threshold."""
    alike = progress.last is not None and progress.last.passed == outcome.passed
    in_a_row = progress.in_a_row + 1 if alike else 1
    state = progress.state
    if outcome.passed and (state == "initial" or in_a_row >= check.healthy_threshold):
        state = "healthy"
    elif not outcome.passed and in_a_row >= check.unhealthy_threshold:
        state = "unhealthy"
    return Progress(state, in_a_row, checking=True, last=outcome)


def described(target: Target, progress: Progress, *, referenced: bool, draining: bool) -> TargetHealth:
    """A target's health as DescribeTargetHealth words it."""
    if draining:
        return TargetHealth(
            target, "draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"
        )
    if not target.runs:
        return TargetHealth(target, "unused", "Target.InvalidState", "Target is in the stopped state")
    if not referenced:
        text = "Target group is not configured to receive traffic from the load balancer"
        return TargetHealth(target, "unused", "Target.NotInUse", text)
    if not target.zone_enabled:
        text = "Target is in an Availability Zone that is not enabled for the load balancer"
        return TargetHealth(target, "unused", "Target.NotInUse", text)
    return _described_checked(target, progress)


def _described_checked(target: Target, progress: Progress) -> TargetHealth:
    if progress.state == "healthy":
        return TargetHealth(target, "healthy")
    if progress.state == "unhealthy" and progress.last is not None:
        # A pass that does not yet suffice leaves the target unhealthy; AWS then has no more to say than this.
        shown = FAILED if progress.last.passed else progress.last
        return TargetHealth(target, "unhealthy", shown.reason, shown.description)
    if progress.checking:
        return TargetHealth(target, "initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
    return TargetHealth(target, "initial", "Elb.RegistrationInProgress", "Target registration is in progress")


def codes(matcher: str) -> frozenset[int]:
    """The status codes of `200`, `200,202` or `200-299`."""
    found: set[int] = set()
    for part in matcher.split(","):
        first, _, last = part.strip().partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


async def probe(target: Target, check: HealthCheck) -> Outcome:
    """One check against the target, as the load balancer's nodes send it."""
    try:
        async with asyncio.timeout(check.timeout_seconds):
            status = await _status(target.address, check.port or target.port, check.path)
    except TimeoutError:
        return TIMED_OUT
    except (OSError, ValueError):
        return FAILED
    if status in codes(check.matcher):
        return PASSED
    return Outcome(False, "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{status}]")


async def _status(address: str, port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection(address, port)
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: {address}:{port}\r\nUser-Agent: ELB-HealthChecker/2.0\r\n"
        writer.write(f"{head}Accept-Encoding: gzip, compressed\r\nConnection: close\r\n\r\n".encode())
        match = re.match(rb"HTTP/1\.[01] (\d{3})", await reader.readline())
        if match is None:
            raise ValueError("not an HTTP answer")
        return int(match.group(1))
    finally:
        writer.close()


class Loop:
    """An event loop in a thread of its own, for checks and delays. It also outlives whatever is started in it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="balancer", daemon=True)
        self._thread.start()

    def spawn(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Starts it; cancelling what is returned cancels the work."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, function: Callable[[], None]) -> None:
        """Runs it in the loop's thread and waits; what it raises is raised here."""

        async def call() -> None:
            function()

        self.spawn(call()).result()

    def after(self, seconds: float, function: Callable[[], None]) -> Future[None]:
        """Calls it in the loop's thread once the time is over, unless cancelled."""

        async def call() -> None:
            await asyncio.sleep(seconds)
            function()

        return self.spawn(call())

    def close(self) -> None:
        """Cancels what runs and ends the thread."""
        self.spawn(self._cancel_all()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cancel_all(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        # Connections say goodbye one turn later.
        await asyncio.sleep(0)


async def check_forever(
    target: Target,
    check: HealthCheck,
    start: Progress,
    report: Callable[[Progress], None],
    fails: Callable[[], bool] = lambda: False,
) -> None:
    """Checks at the check's own interval, counted from start to start, and reports after each. `fails` may spoil one."""
    loop = asyncio.get_running_loop()
    due = loop.time() + random.uniform(0, FIRST_CHECK_SHARE * check.interval_seconds)
    progress = start
    while True:
        await asyncio.sleep(due - loop.time())
        if not progress.checking:
            progress = replace(progress, checking=True)
            report(progress)
        outcome = TIMED_OUT if fails() else await probe(target, check)
        progress = advance(progress, outcome, check)
        report(progress)
        due = max(due + check.interval_seconds, loop.time())
