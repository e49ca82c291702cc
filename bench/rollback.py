"""The whole `shipit rollback` process beside the AWS CLI's bare `modify-listener`: medians of 20, taking turns."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from bench.world import SHIPIT, world
from shipit.sandbox import lifecycle

RUNS = 20
AWS = str(Path(sys.executable).with_name("aws"))


def main() -> int:
    with world() as here:
        for version in ("v1", "v2"):
            here.version(version)
            here.shipit("release", version, "--canary", "100%")
        aws = {**here.environment, **lifecycle.environment(here.state.name)}
        found = subprocess.run([AWS, "elbv2", "describe-target-groups"], env=aws, check=True, capture_output=True)
        groups = [group["TargetGroupArn"] for group in json.loads(found.stdout)["TargetGroups"]]
        seconds: dict[str, list[float]] = {
            "shipit rollback": [],
            "aws modify-listener": [],
            "aws describe + modify": [],
        }
        for turn in range(RUNS):
            rollback = [SHIPIT, "rollback", "--env", "sandbox"]
            seconds["shipit rollback"].append(timed(rollback, here.environment, here.folder))
            weights = zip(groups, (100, 0) if turn % 2 else (0, 100), strict=True)
            tuples = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights]
            action = json.dumps([{"Type": "forward", "ForwardConfig": {"TargetGroups": tuples}}])
            listener = ["--listener-arn", here.state.listener_arn]
            modify = timed([AWS, "elbv2", "modify-listener", *listener, "--default-actions", action], aws, here.folder)
            describe = timed(
                [AWS, "elbv2", "describe-listeners", "--listener-arns", here.state.listener_arn], aws, here.folder
            )
            seconds["aws modify-listener"].append(modify)
            seconds["aws describe + modify"].append(describe + modify)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        print(
            f"{name:22} median {1000 * median:4.0f} ms   {median / medians['aws modify-listener']:.2f} of aws modify-listener"
        )
    return 0


def timed(command: list[str], environment: dict[str, str], folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environment, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
