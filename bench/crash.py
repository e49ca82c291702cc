"""The crash sweep: shipit is killed before and after every AWS call of each scenario, under load, and another one goes on.

Nobody counts the calls in advance: the point of death moves on until a command ends before it. Survived is a point when no
request failed, the command that goes on ends as the first one should have, and nothing is left behind.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from bench.lanes import Tally, Try, end_on_sigterm, work
from bench.scenarios import SCENARIOS, Case, clean
from bench.sites import sites
from bench.sweep import Done, Site

# How many calls a command makes varies a little with its waits: so many must end unkilled before it is believed.
ENDED = 4


@dataclass
class Points:
    """The points of one scenario, handed out to several sites; `covered` counts those at each operation."""

    begin: Callable[[Site], Case]
    every: int = 1
    ended: int = 0
    calls: int = 0
    covered: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        numbers = iter(range(1, 10_000, self.every))
        self._points: Iterator[tuple[int, str]] = ((n, phase) for n in numbers for phase in ("before", "after"))

    def next(self) -> Try | None:
        with self._lock:
            if self.ended >= ENDED:
                return None
            number, phase = next(self._points)
        return f"{phase} call {number}", lambda site: self._try(site, number, phase)

    def _try(self, site: Site, number: int, phase: str) -> Sequence[str]:
        case = self.begin(site)
        done = site.shipit(*case.words, at=number, phase=phase)
        with self._lock:
            self.ended += not done.killed or case.until in done.calls[:-1]
            self.calls = max(self.calls, len(done.calls))
            self.covered[done.calls[-1]] += done.killed
        return gone_on(case, done)


def gone_on(case: Case, done: Done) -> list[str]:
    """Another one goes on with what was killed; what is wrong in the end, with the call that was the last."""
    killed_at = time.monotonic()
    where = f"{done.calls[-1]} of {' '.join(case.words)} at {case.site.env}"
    if done.killed:
        done = case.site.resume(*case.words)
    wrong = case.wrong(done) or ([] if case.as_before else clean(case.site, case.serving, killed_at))
    return [f"{where}: {text}" for text in wrong]


def sweep(here: Sequence[Site], name: str, every: int, rate: float) -> Tally:
    points, tally = Points(SCENARIOS[name], every), Tally()
    work(here, points.next, rate, tally)
    print(tally.line(f"{name} ({points.calls} calls)", "crash points"), flush=True)
    print(
        f"  {len(points.covered)} operations: {', '.join(f'{n} {c}' for n, c in sorted(points.covered.items()) if c)}"
    )
    return tally


def _judge_builders(site: Site, total: Tally) -> None:
    """Packer outlives a shipit that is killed, for as long as it needs to clean up."""
    deadline = time.monotonic() + 30
    while (left := site.camera.builders()) and time.monotonic() < deadline:
        time.sleep(0.5)
    if left:
        total.blame("bake", f"left behind: {', '.join(left)}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="all by default")
    parser.add_argument("--every", type=int, default=1, help="only every Kth call")
    parser.add_argument("--parallel", type=int, default=5, help="environments side by side")
    parser.add_argument("--rate", type=float, default=100, help="requests per second, over all environments")
    options = parser.parse_args(arguments)
    total = Tally()
    end_on_sigterm()
    with sites(options.parallel) as here:
        for name in options.scenario or SCENARIOS:
            tally = sweep(here, name, options.every, options.rate / options.parallel)
            total.add(tally, name)
        _judge_builders(here[0], total)
    print(total.line("all", "crash points"), flush=True)
    return 1 if total.broken or total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
