"""The window that stays open when a release writes traffic: from its last look at the listener, and from the answer in which it
hears that it is called off, until its write leaves. Measured on every write of canary releases in the sandbox; on AWS
the distances are longer by the time of one call there and back.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.doomed import name_of
from bench.world import ROOT, World, world

STAGES = ",".join(f"{percent}%" for percent in range(10, 100, 10)) + ",100%"
_LOOK, _HEAR = "elasticloadbalancing DescribeRules", "dynamodb UpdateItem"
_WRITES = ("elasticloadbalancing ModifyListener", "elasticloadbalancing ModifyRule")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.inside:
        return inside(options.inside, options.words)
    since_look, since_word = measured(options.rounds)
    print(f"{len(since_look)} writes of traffic by {options.rounds} releases; milliseconds, median and longest")
    for name, values in (("look at the listener", since_look), ("word in the record", since_word)):
        print(f"window since the last {name}: {statistics.median(values):.2f}, {max(values):.2f} ms")
    return 0


def measured(rounds: int) -> tuple[list[float], list[float]]:
    """For each write: milliseconds since the last answer that showed the listener, and since the last renewal's answer."""
    since_look: list[float] = []
    since_word: list[float] = []
    with world() as here:
        for number in range(rounds + 1):
            here.version(f"v{number}")
            seen: dict[str, float] = {}
            for name, began, ended in released(here, f"v{number}"):
                if name in _WRITES and number:
                    since_look.append(1000 * (began - seen[_LOOK]))
                    since_word.append(1000 * (began - seen[_HEAR]))
                seen[name] = ended
    return since_look, since_word


def released(here: World, version: str) -> list[tuple[str, float, float]]:
    """The calls of one release in the order in which they were sent: name, start and end."""
    file = here.folder.parent / "calls"
    file.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "bench.window",
        "--inside",
        str(file),
        "--",
        "release",
        version,
        "--env",
        "sandbox",
    ]
    environment = {**here.environment, "PYTHONPATH": str(ROOT)}
    subprocess.run([*command, "--canary", STAGES], cwd=here.folder, env=environment, check=True, capture_output=True)
    return sorted((json.loads(line) for line in file.read_text().splitlines()), key=lambda call: call[1])


def inside(path: str, words: list[str]) -> int:
    """shipit itself, with the times of its calls written down."""
    from botocore.httpsession import URLLib3Session

    send = URLLib3Session.send
    file = os.open(Path(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def timed(session: Any, request: Any) -> Any:
        began = time.monotonic()
        answer = send(session, request)
        os.write(file, f"{json.dumps([name_of(request), began, time.monotonic()])}\n".encode())
        return answer

    URLLib3Session.send = timed
    sys.argv = ["shipit", *words]
    from shipit.cli.main import main as shipit

    shipit()
    return 0


if __name__ == "__main__":
    sys.exit(main())
