"""Every bad input that the tests know, a few thousand drawn by chance, and the answers to them: `python -m bench.bad_input`.

Seeds are fixed: two runs try the same. Half of the cases run in each of two processes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from tests.bad_input import files, lines, surroundings
from tests.bad_input.cases import Case, complaints
from tests.bad_input.terminal import Project

PROCESSES = 2
DRAWN = 700
SHOWN = 20


def main() -> int:
    began = time.monotonic()
    with ProcessPoolExecutor(PROCESSES) as pool:
        found = list(pool.map(_share, range(PROCESSES)))
    tried, faults = sum(count for count, _ in found), [fault for _, faults in found for fault in faults]
    for fault in faults[:SHOWN]:
        print(fault)
    refused = tried - len(faults)
    print(f"bad inputs: {tried} tried, {refused} refused cleanly, in {time.monotonic() - began:.0f} s")
    return 1 if faults else 0


def _share(number: int) -> tuple[int, list[str]]:
    """The cases of one process: how many, and one line for each that was not refused cleanly."""
    tried, faults = 0, []
    with tempfile.TemporaryDirectory(prefix="shipit-bad-input-") as folder:
        project = Project.made(Path(folder))
        for case in _cases(number):
            tried += 1
            found = complaints(case, project)
            faults += [f"{case}\n    {'; '.join(found)}"] if found else []
    return tried, faults


def _cases(number: int) -> Iterator[Case]:
    """Every second of those that are listed, and those that this process draws."""
    yield from [*lines.all_lines(), *files.all_files(), *surroundings.all_surroundings()][number::PROCESSES]
    yield from _drawn(lines.random_lines(), number)
    yield from _drawn(files.random_files(), PROCESSES + number)


def _drawn(strategy: SearchStrategy[Case], number: int) -> list[Case]:
    cases: list[Case] = []

    @seed(number)
    @settings(
        max_examples=DRAWN,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(case: Case) -> None:
        cases.append(case)

    draw()
    return cases


if __name__ == "__main__":
    sys.exit(main())
