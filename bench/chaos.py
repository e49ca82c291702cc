"""Chaos runs: releases during which instances die, versions turn sick, the API goes away, others interfere; by seed.

After the dust one more command gets to its goal, nothing is left behind, and no request has failed but those that a killed
instance or a crashing version had been given.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bench.lanes import Tally, Try, end_on_sigterm, work
from bench.mischief import CRASH, MISCHIEF, VERSIONS, Run, begin
from bench.scenarios import clean
from bench.sites import sites
from bench.sweep import Site

FICKLE = Path(__file__).parent / "fickle" / "server.py"


class Excuses:
    """The times at which requests may fail, by environment."""

    def __init__(self) -> None:
        self._runs: dict[str, list[Run]] = {}

    def watch(self, run: Run) -> Run:
        self._runs.setdefault(run.site.env, []).append(run)
        return run

    def cover(self, env: str, began: float, ended: float) -> bool:
        times = [time_ for run in self._runs.get(env, []) for time_ in run.excused]
        return any(began < last and ended > first for first, last in times)


def attempt(site: Site, seed: int, mischief: Callable[[Run], None], excuses: Excuses) -> Sequence[str]:
    run = excuses.watch(begin(site, seed))
    mischief(run)
    over = time.monotonic()
    if not run.wrong:
        words = ("release", run.goal, "--canary", "100%")
        last = site.shipit(*words, "--accept-drift") if run.edited else site.resume(*words)
        run.wrong += [f"afterwards: {last}"] if last.code else site.serves(run.goal)
    if not run.wrong:
        run.wrong += clean(site, run.goal, over)
    return run.wrong


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the others count on")
    parser.add_argument("--only", choices=[one.__name__ for one in MISCHIEF])
    parser.add_argument("--parallel", type=int, default=3, help="environments side by side")
    parser.add_argument("--rate", type=float, default=150, help="requests per second, over all environments")
    options = parser.parse_args(arguments)
    kinds = [one for one in MISCHIEF if options.only in (None, one.__name__)]
    excuses, tally, done = Excuses(), Tally(), Counter[str]()

    def tries() -> Iterator[Try]:
        for seed in range(options.seed, options.seed + options.runs):
            kind = kinds[seed % len(kinds)]
            done[kind.__name__] += 1
            yield f"seed {seed} ({kind.__name__})", lambda site, s=seed, k=kind: attempt(site, s, k, excuses)

    end_on_sigterm()
    ready = iter(list(tries()))
    extra = {CRASH: {"CRASH_AFTER": "5"}}
    with sites(options.parallel, VERSIONS, extra, server__py=FICKLE.read_text()) as here:
        work(here, lambda: next(ready, None), options.rate / options.parallel, tally, excuses.cover)
    print(tally.line("chaos", "runs"))
    print(f"  {dict(done)}; excused: {tally.excused} requests (killed instances, crashing versions)")
    return 1 if tally.broken or tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
