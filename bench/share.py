"""Requests at a canary of 10 %: the share over 10,000 requests against the binomial 99.9 % band."""

from __future__ import annotations

import sys
import threading
import time
from math import sqrt
from statistics import NormalDist

from bench.world import World, fleets, world
from shipit.sandbox.load import run_load
from shipit.sandbox.tally import LoadReport

REQUESTS = 10_000
RATE = 400
SHARE = 0.10


def main() -> int:
    with world() as here:
        here.version("v1")
        here.shipit("release", "v1", "--canary", "100%")
        here.version("v2")
        report = measured(here)
    low, high = band(report.sent, SHARE)
    share = report.versions.get("v2", 0)
    print(
        f"{share} of {report.sent} requests to the canary ({100 * share / report.sent:.2f} %), {report.failed} failed"
    )
    print(f"99.9 % band for 10 %: {low:.0f} to {high:.0f}: {'inside' if low <= share <= high else 'OUTSIDE'}")
    return 0 if low <= share <= high and report.failed == 0 else 1


def measured(here: World) -> LoadReport:
    """Requests while a canary is held at 10 %, from just after the shift on."""
    hold = REQUESTS / RATE + 10
    release = threading.Thread(target=here.shipit, args=("release", "v2", "--canary", f"10% {hold:g}s, 100%"))
    release.start()
    while not any(0 < percent < 50 for _, percent, _ in fleets(here)):
        time.sleep(0.2)
    report = run_load(here.state.front_door_url, RATE, REQUESTS / RATE)
    release.join()
    return report


def band(requests: int, share: float) -> tuple[float, float]:
    """Normal approximation of the binomial, two-sided."""
    width = NormalDist().inv_cdf(1 - 0.001 / 2) * sqrt(requests * share * (1 - share))
    return requests * share - width, requests * share + width


if __name__ == "__main__":
    sys.exit(main())
