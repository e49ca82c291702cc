"""How far a canary can be trusted: false aborts and missed regressions, for three ways to judge the same requests.

`python -m bench.canary` draws releases by chance: half an hour of blue alone, then half an hour with 5 % for green, and a look
after every minute. In one half of them green is as good as blue (an abort is a false one), in the others it is worse. Judges:

- ours: `shipit.release.evidence`, the code that a release runs;
- Kayenta's classifier: Mann-Whitney at 98 % over the rates of all minutes so far, with its tolerance of a quarter of the
  Hodges-Lehmann estimate;
- a threshold as Argo Rollouts and Flagger have it: green's rate of a minute above a limit, once or for the fifth time.

Each is tried as it is shipped, and with its limit moved until it aborts 1 % of the harmless releases of the same cell. That move
is a present: nobody knows the rate of errors so well in advance. Seeds are fixed.

Then how soon 1 pp more errors end a release at 100 requests a second, 5 of them for green, against the requests that a test with a
horizon fixed in advance needs for the same two rates (one-sided, 1 % false alarms, 80 or 95 % power), and how many bad answers users
get until then.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from bench import canary_report as report
from bench.judges import ALPHA, RATES, SHAPES, SHARE, TOLERANCES, WORSE, Array, Cell, draw, judges, ours


@dataclass(frozen=True)
class Figures:
    """One judge in one cell, for one regression: how many releases it aborts, after how many of green's requests (median)."""

    judge: str
    worse: float
    as_shipped: float
    calibrated: float
    requests: float | None = None


def judge(cell: Cell, runs: int, seed: int) -> list[Figures]:
    """All judges over the same streams: those without a regression first, which calibrate."""
    figures: list[Figures] = []
    limits: dict[str, float] = {}
    for number, worse in enumerate((0.0, *WORSE)):
        streams = draw(cell, worse, runs, seed + number)
        for name, (score, shipped) in judges(limits).items():
            scores = score(streams)
            if not worse:
                limits[name] = _limit(scores)
            aborted, requests = _aborted(scores, limits[name], streams.green)
            figures.append(Figures(name, worse, _aborted(scores, shipped, streams.green)[0], aborted, requests))
    return figures


def _limit(scores: Array) -> float:
    """What at most 1 % of the harmless releases exceed at any look."""
    highest = np.sort(scores.max(axis=1))
    return float(highest[int(np.ceil(len(highest) * (1 - ALPHA))) - 1])


def _aborted(scores: Array, limit: float, green: Array) -> tuple[float, float | None]:
    """The share of the releases that are aborted, and after how many of green's requests in the median."""
    over = scores > limit
    hit = over.any(axis=1)
    if not hit.any():
        return 0.0, None
    first = over.argmax(axis=1)
    spent = np.cumsum(green, axis=1)[np.arange(len(green)), first]
    return float(hit.mean()), float(np.median(spent[hit]))


def horizon(rate: float, worse: float, tolerance: float, power: float) -> float:
    """Green's requests that a one-sided test of two proportions needs, blue having the rest of the traffic (normal approximation)."""
    normal, green = NormalDist(), rate + worse
    z = normal.inv_cdf(1 - ALPHA) + normal.inv_cdf(power)
    variance = green * (1 - green) + rate * (1 - rate) * SHARE / (1 - SHARE)
    return z**2 * variance / (worse - tolerance) ** 2


def how_soon(runs: int) -> str:
    """A table: green's requests until 1 pp more errors end a release, in the median, against fixed horizons."""
    lines = [
        "| errors | tolerance | aborted | requests | fixed, 80 % | | fixed, 95 % | |",
        "| --- | --- | ---: |" + " ---: |" * 5,
    ]
    for rate, tolerance in product(RATES, TOLERANCES):
        streams = draw(Cell("hundred", "steady", rate), WORSE[0], runs, 1)
        shipped = float(np.log(1 / ALPHA))
        aborted, spent = _aborted(ours(streams, tolerance, shipped), shipped, streams.green)
        needed = [horizon(rate, WORSE[0], tolerance, power) for power in (0.8, 0.95)]
        ratios = "".join(f" {n:,.0f} | {spent / n:.2f} |" if spent else f" {n:,.0f} | |" for n in needed)
        shown = f"{spent:,.0f}" if spent else ""
        lines.append(f"| {100 * rate:g} % | {100 * tolerance:g} % | {100 * aborted:.1f} % | {shown} |{ratios}")
    return "\n".join(lines)


def exposure(runs: int) -> str:
    """A table: how many bad answers of green users get in the mean, at 100 requests a second, until each judge as it is shipped ends
    the release, or half an hour is over. With no regression, what it costs is how often it ends one in vain.
    """
    names = list(judges({}))
    lines = [f"| errors | more | {' | '.join(names)} | nobody |", f"| --- | --- |{' ---: |' * (len(names) + 1)}"]
    for rate, worse in product(RATES, WORSE):
        streams = draw(Cell("hundred", "steady", rate), worse, runs, 2)
        so_far = np.cumsum(streams.green_bad, axis=1)
        seen = [_exposed(score(streams), shipped, so_far) for score, shipped in judges(_shipped()).values()]
        shown = " | ".join(f"{one:,.0f}" for one in (*seen, float(so_far[:, -1].mean())))
        lines.append(f"| {100 * rate:g} % | {100 * worse:g} pp | {shown} |")
    return "\n".join(lines)


def _shipped() -> dict[str, float]:
    return {name: shipped for name, (_, shipped) in judges({}).items()}


def _exposed(scores: Array, limit: float, so_far: Array) -> float:
    """The mean over all runs."""
    over = scores > limit
    last = np.where(over.any(axis=1), over.argmax(axis=1), so_far.shape[1] - 1)
    return float(so_far[np.arange(len(so_far)), last].mean())


def cells() -> Iterator[Cell]:
    yield from (Cell(*chosen) for chosen in product(("low", "middle", "high"), SHAPES, RATES))


def _judged(given: tuple[int, Cell, int]) -> tuple[Cell, list[Figures]]:
    number, cell, runs = given
    return cell, judge(cell, runs, 1000 * number)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000, help="releases of each kind in each cell")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", type=Path, help="file that gets the figures as well")
    parser.add_argument("--plot", type=Path, help="SVG file that gets the picture; needs matplotlib")
    options = parser.parse_args(arguments)
    began, found = time.monotonic(), list[dict[str, Any]]()
    with ProcessPoolExecutor(options.processes) as pool:
        for cell, figures in pool.map(_judged, [(n, cell, options.runs) for n, cell in enumerate(cells())]):
            print(f"… {cell}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            found += [{**asdict(cell), **asdict(one)} for one in figures]
    print(f"False aborts, {options.runs} harmless releases in each cell\n\n{report.false_aborts(found)}\n")
    for worse in WORSE:
        print(f"{100 * worse:g} pp more errors, at equal false aborts\n\n{report.power(found, worse)}\n")
    print("Cells that another judge wins:", *(report.lost(found) or ["none"]), sep="\n")
    print(f"\nHow soon\n\n{how_soon(options.runs)}")
    print(f"\nBad answers that users got\n\n{exposure(options.runs)}")
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.plot:
        report.plot(found, WORSE[0], options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
