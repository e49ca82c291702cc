"""A sandbox, a git repository with as many versions of the hello app as wanted, and the commands that a user would type."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shipit.sandbox import lifecycle
from shipit.sandbox.load import run_load
from shipit.sandbox.state import State
from shipit.sandbox.tally import LoadReport

ROOT = Path(__file__).parents[1]
HELLO = ROOT / "examples" / "hello"
SHIPIT = str(Path(sys.executable).with_name("shipit"))


@dataclass
class World:
    """One sandbox and one app in it."""

    folder: Path
    state: State
    _git: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self._git = ["git", "-C", str(self.folder), "-c", "user.name=bench", "-c", "user.email=bench@example.invalid"]

    @property
    def environment(self) -> dict[str, str]:
        home = str(self.folder.parent)
        places = {"XDG_CACHE_HOME": home, "XDG_STATE_HOME": home, "PYTHONPYCACHEPREFIX": f"{home}/pyc"}
        # An installed shipit has its bytecode; many images say that a checkout must not write any.
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        return {**kept, **places, "SHIPIT_SANDBOX": self.state.name}

    def version(self, name: str, **files: str) -> None:
        """Commits and tags a version; `files` are written beside VERSION (`SICK=""` makes /healthz fail)."""
        (self.folder / "VERSION").write_text(f"{name}\n")
        for file, text in files.items():
            (self.folder / file.replace("__", ".")).write_text(text)
        self._run_git("add", "--all")
        self._run_git("commit", "--quiet", "--allow-empty", "--message", name)
        self._run_git("tag", name)

    def shipit(self, *words: str, expect: int = 0) -> list[dict[str, Any]]:
        """Runs a command on this app; its events, or its one document. Raises when it ends otherwise than expected."""
        command = [SHIPIT, *words, "--env", "sandbox", "--output", "json"]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != expect:
            raise RuntimeError(
                f"{' '.join(words)}: exit {done.returncode}, expected {expect}\n{done.stdout}{done.stderr}"
            )
        if done.stdout.startswith(("{\n", "[")):
            return [json.loads(done.stdout)]
        return [json.loads(line) for line in done.stdout.splitlines()]

    def resources(self) -> dict[str, list[str]]:
        """Every resource that a release could leave behind, by kind."""
        import botocore.session

        endpoint = {"endpoint_url": self.state.endpoint_url, "aws_access_key_id": "x", "aws_secret_access_key": "x"}
        session = botocore.session.Session()
        ec2, elb, asg = (
            session.create_client(name, region_name=self.state.region, **endpoint)
            for name in ("ec2", "elbv2", "autoscaling")
        )
        live = [
            {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped", "shutting-down"]}
        ]
        reservations = ec2.describe_instances(Filters=live)["Reservations"]
        return {
            "instances": sorted(i["InstanceId"] for r in reservations for i in r["Instances"]),
            "templates": sorted(t["LaunchTemplateName"] for t in ec2.describe_launch_templates()["LaunchTemplates"]),
            "key pairs": sorted(k["KeyName"] for k in ec2.describe_key_pairs()["KeyPairs"]),
            "security groups": sorted(g["GroupName"] for g in ec2.describe_security_groups()["SecurityGroups"]),
            "target groups": sorted(g["TargetGroupName"] for g in elb.describe_target_groups()["TargetGroups"]),
            "rules": sorted(r["RuleArn"] for r in elb.describe_rules(ListenerArn=self.state.listener_arn)["Rules"]),
            "groups": sorted(
                g["AutoScalingGroupName"] for g in asg.describe_auto_scaling_groups()["AutoScalingGroups"]
            ),
        }

    def _run_git(self, *words: str) -> None:
        subprocess.run([*self._git, *words], check=True)


@contextmanager
def world(settings: str = "") -> Iterator[World]:
    """A sandbox of its own and a repository, both gone afterwards. `settings` is appended to the hello app's shipit.yml."""
    name = f"bench-{os.getpid()}-{time.time_ns() % 10_000}"
    folder = Path(tempfile.mkdtemp(prefix="shipit-bench-"))
    app = folder / "hello"
    shutil.copytree(HELLO, app)
    with (app / "shipit.yml").open("a") as file:
        file.write(settings)
    subprocess.run(["git", "-C", str(app), "init", "--quiet", "--initial-branch=main"], check=True)
    try:
        yield World(app, lifecycle.up(name, fast=True))
    finally:
        lifecycle.down(name)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def load(url: str, rate: float) -> Iterator[list[LoadReport]]:
    """Steady requests while the block runs; the report is in the list afterwards."""
    stop = threading.Event()
    reports: list[LoadReport] = []
    thread = threading.Thread(target=lambda: reports.append(run_load(url, rate, 3600, stop=stop)))
    thread.start()
    try:
        yield reports
    finally:
        stop.set()
        thread.join()


def ending(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The last event: how it ended."""
    return events[-1]


def fleets(world: World) -> list[tuple[str, float, int]]:
    """Version, percent and desired capacity of every fleet."""
    document = world.shipit("status")[0]
    return [(row["version"], row["weight_percent"], row["desired"]) for row in document["split"]]
