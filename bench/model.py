"""The model at length: random operators, crashes, faults and foreign hands on an in-memory cloud, every run from a seed.

python -m bench.model --runs 10000 --seed 0
python -m bench.model --replay "one; 0 release v2 canary; 37 abort; 41 die 1"
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain, count, islice

from tests.model.play import play
from tests.model.plot import Plot, chosen, parse_plot, shrunk
from tests.model.race import races


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", type=int, default=10, help="how many failures to show")
    parser.add_argument("--replay", help="one run, as it was printed")
    options = parser.parse_args(arguments)
    plots = [parse_plot(options.replay)] if options.replay else every_plot(options.seed, options.runs)
    began, tried, survived = time.monotonic(), 0, 0
    kinds: Counter[str] = Counter()
    for plot in plots:
        complaints = play(plot)
        tried += 1
        survived += not complaints
        kinds.update({complaint[:60] for complaint in complaints})
        if complaints and tried - survived <= options.show:
            smallest = shrunk(plot, lambda smaller: bool(play(smaller)))
            print(f'--replay "{smallest}"', *play(smallest), sep="\n    ", flush=True)
    for kind, often in kinds.most_common(20):
        print(f"{often:6} {kind}")
    print(f"interleavings: {tried} tried, {survived} survived ({time.monotonic() - began:.0f} s, seed {options.seed})")
    return int(survived < tried)


def every_plot(seed: int, runs: int) -> Iterator[Plot]:
    """So many random ones, the first of which place an abort or rollback at every point of a canary release."""
    raced = (plot for kept in (True, False) for by in ("abort", "rollback") for plot in races(by, kept=kept))
    yield from islice(chain(raced, (chosen(seed, number) for number in count())), runs)


if __name__ == "__main__":
    sys.exit(main())
