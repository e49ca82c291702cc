"""Many releases and rollbacks in a row under steady load: requests sent, requests failed, fleets left."""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time

from bench.world import ending, fleets, load, world


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--requests", type=int, default=0, help="go on until so many were sent")
    parser.add_argument("--rate", type=float, default=200)
    options = parser.parse_args(arguments)
    times: dict[str, list[float]] = {"release": [], "rollback": []}
    with world() as here:
        here.version("v0")
        here.shipit("release", "v0", "--canary", "100%")
        with load(here.state.front_door_url, options.rate) as reports:
            began = time.monotonic()
            for number in itertools.count(1):
                if number > options.rounds and (time.monotonic() - began) * options.rate > options.requests * 1.02:
                    break
                here.version(f"v{number}")
                times["release"].append(ending(here.shipit("release", f"v{number}", "--canary", "100%"))["seconds"])
                times["rollback"].append(ending(here.shipit("rollback"))["seconds"])
                print(
                    f"  round {number}: release {times['release'][-1]:.1f} s, rollback {times['rollback'][-1]:.2f} s",
                    flush=True,
                )
        left = fleets(here)
        here.shipit("retire", "--yes")
        last = fleets(here)
        resources = {kind: len(names) for kind, names in here.resources().items()}
    report = reports[0]
    rounds = len(times["release"])
    print(f"{rounds} releases, {rounds} rollbacks at {options.rate:g} requests/s")
    print(f"requests: {report.sent} sent, {report.failed} failed; latency {dict(report.latency_ms)} ms")
    for command, seconds in times.items():
        print(f"{command}: median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s")
    print(f"fleets afterwards (version, percent, desired): {left}")
    print(f"after `shipit retire`: {last}; resources {resources}")
    for failure in report.first_failures:
        print(f"  {failure}")
    return 0 if report.failed == 0 and last == [("v0", 100.0, 2)] else 1


if __name__ == "__main__":
    sys.exit(main())
