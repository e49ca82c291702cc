"""All measurements that take minutes, one after the other: `make bench`."""

from __future__ import annotations

import platform
import sys

from bench import fleet_size, releases, rollback, share


def main() -> int:
    print(f"Python {platform.python_version()}, {platform.machine()}; machines differ: compare figures of one run\n")
    codes = []
    for title, run in (
        ("commit to 100 %", fleet_size.main),
        ("rollback beside the AWS CLI", rollback.main),
        ("share of a 10 % canary", share.main),
        ("releases and rollbacks in a row", lambda: releases.main([])),
    ):
        print(f"## {title}", flush=True)
        codes.append(run())
        print(flush=True)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
