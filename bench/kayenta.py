"""Kayenta's classifier as a program that a gate of kind `command` runs: 1 when it finds green worse than blue, 75 until then.

It reads what AWS counted for both fleets since green got its share, as `bench.gates` wants it for a comparison.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from datetime import datetime

import numpy as np

from bench.judges import KAYENTA_Z, Array, classified
from shipit.clock import SystemClock
from shipit.counts import Count
from shipit.gates.command import NOT_YET
from shipit.wiring import open_shop

FEWEST = 4


def main() -> int:
    clock = SystemClock()
    shop = open_shop(lambda event: None, clock, env=os.environ["SHIPIT_ENV"])
    since = datetime.fromisoformat(os.environ["SHIPIT_SINCE"])
    green, blue = (
        shop.metrics.answered(os.environ[name], since, clock.now()) for name in ("SHIPIT_FLEET", "SHIPIT_OLD_FLEET")
    )
    both = sorted(set(green) & set(blue))
    if len(both) < FEWEST:
        print(f"{len(both)} of {FEWEST} periods")
        return NOT_YET
    score = classified(_rates(green[at] for at in both), _rates(blue[at] for at in both))[0]
    print(f"z = {score:.2f} after {len(both)} periods; {KAYENTA_Z} is the limit")
    return 1 if score > KAYENTA_Z else NOT_YET


def _rates(counts: Iterable[Count]) -> Array:
    """One run: the rate of each period."""
    return np.array([[count.rate for count in counts]])


if __name__ == "__main__":
    sys.exit(main())
