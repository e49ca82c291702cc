"""Work on many sites at once, each under its own steady load, with every failed request blamed on what ran at that time."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from bench.heal import heal
from bench.sweep import Site
from shipit.sandbox.load import run_load
from shipit.sandbox.tally import LoadReport, Second


@dataclass
class Tally:
    """What a sweep has tried. `problems` are told in words; a try without one has survived."""

    tried: int = 0
    problems: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    sent: int = 0
    failed: int = 0
    excused: int = 0
    seconds: float = 0.0

    @property
    def survived(self) -> int:
        return self.tried - len(self.broken)

    def blame(self, label: str, problem: str) -> None:
        self.broken.add(label)
        self.problems.append(f"{label}: {problem}")
        print(f"  FAILED {label}: {problem}", flush=True)

    def add(self, other: Tally, name: str) -> None:
        """Counts what another sweep has tried."""
        self.tried += other.tried
        self.broken |= {f"{name} {label}" for label in other.broken}
        self.problems += [f"{name}: {problem}" for problem in other.problems]
        self.sent, self.failed = self.sent + other.sent, self.failed + other.failed
        self.excused += other.excused
        self.seconds += other.seconds

    def line(self, name: str, noun: str) -> str:
        return (
            f"{name}: {self.tried} {noun} tried, {self.survived} survived; {self.sent} requests sent, "
            f"{self.failed} failed; {self.seconds:.0f} s"
        )


# How many tries between two signs of life.
TOLD_EVERY = 50
# Whether requests of an environment may fail between two times (monotonic).
Excused = Callable[[str, float, float], bool]
# One try: what it is called and how it is done; the work returns what is wrong.
Try = tuple[str, Callable[[Site], Sequence[str]]]


def end_on_sigterm() -> None:
    """Lets a sweep that is asked to end take its sandbox along."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def work(
    sites: Sequence[Site],
    next_try: Callable[[], Try | None],
    rate: float,
    tally: Tally,
    excused: Excused = lambda env, began, ended: False,
) -> None:
    """Takes tries until there are none, one at a time on each site."""
    began, lock, ended = time.monotonic(), threading.Lock(), threading.Event()

    def next_unless_ended() -> Try | None:
        return None if ended.is_set() else next_try()

    threads = [
        threading.Thread(target=_lane, args=(site, next_unless_ended, rate, tally, lock, excused)) for site in sites
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException:
        # What is under way is waited for: without its sandbox it would fail, and be blamed for it.
        ended.set()
        for thread in threads:
            thread.join()
        raise
    tally.seconds += time.monotonic() - began


def _lane(
    site: Site, next_try: Callable[[], Try | None], rate: float, tally: Tally, lock: threading.Lock, excused: Excused
) -> None:
    stop, reports, times = threading.Event(), list[LoadReport](), list[tuple[float, str]]()
    load = threading.Thread(target=lambda: reports.append(run_load(site.url, rate, 1e6, stop=stop)))
    began = time.monotonic()
    load.start()
    try:
        while chosen := next_try():
            times.append((time.monotonic() - began, chosen[0]))
            wrong = _attempt(site, chosen)
            with lock:
                tally.tried += 1
                if tally.tried % TOLD_EVERY == 0:
                    print(
                        f"  … {tally.tried} after {time.monotonic() - began:.0f} s, {len(tally.broken)} broken",
                        flush=True,
                    )
                for problem in wrong:
                    tally.blame(chosen[0], problem)
            if wrong:
                with suppress(Exception):  # the next try says so itself
                    heal(site)
    finally:
        stop.set()
        load.join()
    with lock:
        tally.sent += reports[0].sent
        for second in reports[0].timeline:
            if second.failed:
                at = began + second.second
                seen = {one.detail for one in reports[0].first_failures if int(one.at_seconds) == second.second}
                _count(second, excused(site.env, at, at + 1), times, seen, tally)


def _attempt(site: Site, chosen: Try) -> Sequence[str]:
    try:
        return chosen[1](site)
    except Exception as trouble:  # noqa: BLE001 - one try that cannot be made must not end the sweep
        return [f"{type(trouble).__name__}: {trouble}"]


def _count(
    second: Second, excused: bool, times: Sequence[tuple[float, str]], seen: Collection[str], tally: Tally
) -> None:
    """Blames the failed requests of a second on what ran then, unless they are excused."""
    if excused:
        tally.excused += second.failed
        return
    tally.failed += second.failed
    running = [label for at, label in times if at <= second.second + 1] or ["before the first"]
    tally.blame(running[-1], f"{second.failed} requests failed in second {second.second} ({', '.join(sorted(seen))})")
