"""From commit to 100 %, bake included, with 2, 16 and 64 instances: seconds by phase, and API calls of the release."""

from __future__ import annotations

import sys

from bench.world import ending, load, world

SIZES = (2, 16, 64)
PHASES = ("bake", "launch", "boot", "health", "shift", "tidy")


def main() -> int:
    print("instances  " + "  ".join(f"{phase:>6}" for phase in (*PHASES, "total")) + "  failed requests")
    failed = 0
    for size in SIZES:
        with world(f"fleet:\n  size: {size}\n") as here:
            here.version("v1")
            here.shipit("release", "v1", "--canary", "100%")
            here.version("v2")
            with load(here.state.front_door_url, 50) as reports:
                end = ending(here.shipit("release", "v2", "--canary", "100%"))
            seconds = {phase["name"]: phase["seconds"] for phase in end["phases"]}
            cells = [f"{seconds.get(phase, 0):6.2f}" for phase in PHASES]
            failed += reports[0].failed
            print(
                f"{size:9d}  "
                + "  ".join([*cells, f"{end['seconds']:6.2f}"])
                + f"  {reports[0].failed} of {reports[0].sent}"
            )
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
