"""Three ways to judge a canary, and releases drawn by chance for them: see `bench.canary`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shipit.counts import Count, Minute
from shipit.release.analysis import BASELINE_MINUTES, PRIOR
from shipit.release.evidence import Evidence, Side

MINUTES = 30
SHARE = 0.05
ALPHA = 0.01
TRAFFIC = {"low": 1, "middle": 20, "high": 200, "hundred": 100}  # requests a second, blue and green together
SHAPES = ("steady", "daily", "bursty")
RATES = (0.0001, 0.001, 0.01, 0.05)
WORSE = (0.01, 0.05)
TOLERANCES = (0.0, 0.005)
# Two-sided 98 %, as Kayenta's classifier has it; Flagger's first example aborts below 99 % success for the fifth time.
KAYENTA_Z = 2.326
FLAGGER_RATE, FLAGGER_TIMES = 0.01, 5
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Cell:
    traffic: str
    shape: str
    rate: float

    def __str__(self) -> str:
        return f"{self.traffic} {self.shape} {100 * self.rate:g} %"


@dataclass(frozen=True)
class Streams:
    """Requests and bad ones by run and minute; blue's begin half an hour before green's."""

    green: Array
    green_bad: Array
    blue: Array
    blue_bad: Array


def draw(cell: Cell, worse: float, runs: int, seed: int) -> Streams:
    chance = np.random.default_rng(seed)
    shape = (runs, 2 * MINUTES)
    load, sickness = np.ones(shape), np.ones(shape)
    if cell.shape == "daily":
        # A day's swing within the hour, at any time of the day.
        phase = 2 * np.pi * (chance.random((runs, 1)) + np.arange(2 * MINUTES) / (2 * MINUTES))
        load, sickness = 1 + 0.8 * np.sin(phase), 1 - 0.8 * np.sin(phase)
    if cell.shape == "bursty":
        burst = chance.random(shape) < 0.1
        load, sickness = np.where(burst, 3.0, 0.8), np.where(burst, 10.0, 1.0)
    requests = chance.poisson(60 * TRAFFIC[cell.traffic] * load)
    rate = np.minimum(cell.rate * sickness, 0.5)
    green = chance.binomial(requests[:, MINUTES:], SHARE)
    blue = requests.copy()
    blue[:, MINUTES:] -= green
    green_bad = chance.binomial(green, np.minimum(rate[:, MINUTES:] + worse, 1))
    return Streams(green, green_bad, blue, chance.binomial(blue, rate))


def ours(streams: Streams, tolerance: float, enough: float) -> Array:
    """Logarithm of the wealth at every look; it is not fed any more once it is `enough`."""
    scores = np.full(streams.green.shape, -np.inf)
    for run in range(len(scores)):
        evidence = Evidence(tolerance, Side.WORSE)
        seen = [Count(int(n), int(x)) for n, x in zip(streams.blue[run], streams.blue_bad[run], strict=True)]
        for minute in range(MINUTES):
            now = minute + MINUTES
            baseline = sum(seen[now - BASELINE_MINUTES : now], PRIOR).rate
            green = Count(int(streams.green[run, minute]), int(streams.green_bad[run, minute]))
            evidence.see(Minute(green, seen[now]), baseline)
            scores[run, minute] = evidence.log
            if evidence.log >= enough:
                break
    return scores


def kayenta(streams: Streams) -> Array:
    """The largest z at which the interval of the Hodges-Lehmann estimate lies above a quarter of that estimate, at every look."""
    green = _rates(streams.green_bad, streams.green)
    blue = _rates(streams.blue_bad[:, MINUTES:], streams.blue[:, MINUTES:])
    scores = np.full(green.shape, -np.inf)
    for look in range(3, MINUTES):
        scores[:, look] = classified(green[:, : look + 1], blue[:, : look + 1])
    return scores


def classified(green: Array, blue: Array) -> Array:
    """The same for one look: rates by run and minute, as many minutes of both."""
    minutes = green.shape[1]
    differences = (green[:, :, None] - blue[:, None, :]).reshape(len(green), -1)
    estimate = np.median(differences, axis=1)
    below = (differences <= 0.25 * estimate[:, None]).sum(axis=1)
    spread = np.sqrt(minutes * minutes * (2 * minutes + 1) / 12)
    return np.where(estimate > 0, (minutes * minutes / 2 - below) / spread, -np.inf)


def threshold(streams: Streams, times: int) -> Array:
    """The rate that green has exceeded in so many minutes, at every look."""
    rates = _rates(streams.green_bad, streams.green)
    scores = np.full(rates.shape, -np.inf)
    for look in range(times - 1, MINUTES):
        scores[:, look] = np.partition(rates[:, : look + 1], look + 1 - times, axis=1)[:, look + 1 - times]
    return scores


def judges(limits: Mapping[str, float]) -> dict[str, tuple[Callable[[Streams], Array], float]]:
    """What each judge makes of the streams at every look, and the limit above which it aborts as it is shipped. Where a higher one will
    be asked for, `limits` says so: ours stops counting beyond.
    """
    nominal = float(np.log(1 / ALPHA))

    def evidence(tolerance: float) -> tuple[Callable[[Streams], Array], float]:
        name = name_of(tolerance)
        enough = max(nominal, limits[name]) if name in limits else np.inf
        return lambda streams: ours(streams, tolerance, enough), nominal

    return {
        **{name_of(tolerance): evidence(tolerance) for tolerance in TOLERANCES},
        "Kayenta": (kayenta, KAYENTA_Z),
        "threshold": (lambda streams: threshold(streams, 1), FLAGGER_RATE),
        "threshold, 5th time": (lambda streams: threshold(streams, FLAGGER_TIMES), FLAGGER_RATE),
    }


def name_of(tolerance: float) -> str:
    return f"shipit, tolerance {100 * tolerance:g} %"


def _rates(bad: Array, requests: Array) -> Array:
    return np.asarray(np.divide(bad, requests, out=np.zeros(bad.shape), where=requests > 0))
