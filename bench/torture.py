"""The long sweeps, one after the other: crash points, faults, chaos, interleavings, bad input, and a million requests.

Each part is a program of its own: `python -m bench.crash --help`. The lines that tell what was tried and what survived are
printed again at the end. Exit code 1 when anything did not survive.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time

PARTS: dict[str, list[str]] = {
    "bad input": ["bench.bad_input"],
    "model": ["bench.model", "--runs", "10000"],
    "crash points": ["bench.crash"],
    "faults": ["bench.faults"],
    "chaos": ["bench.chaos", "--runs", "50"],
    "gates": ["bench.gates"],
    "load": ["bench.releases", "--rounds", "50", "--requests", "1000000", "--rate", "1000"],
}
_TOLD = re.compile(r"^[^ ].*\b(tried|sent)\b")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=list(PARTS), help="all by default")
    options = parser.parse_args(arguments)
    began, lines, codes = time.monotonic(), [], []
    for name in options.part or PARTS:
        print(f"## {name}", flush=True)
        code, told = run(PARTS[name])
        codes.append(code)
        lines += [f"{name}: {line}" for line in told] + ([] if code == 0 else [f"{name}: FAILED, exit code {code}"])
    print(f"\n## all, after {(time.monotonic() - began) / 60:.0f} minutes", *lines, sep="\n", flush=True)
    return max(codes)


def run(words: list[str]) -> tuple[int, list[str]]:
    """One part: its exit code, and what it says was tried."""
    command = [sys.executable, "-m", *words]
    told = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            told += [line.rstrip()] if _TOLD.match(line) else []
    return process.returncode, told


if __name__ == "__main__":
    sys.exit(main())
