"""The whole road, from a commit to all requests and back, on the sandbox and under load: nobody may notice.

Each test is an environment of its own, with a rule of its own on the one listener, so that none sees another; they share the
sandbox and the images.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from bench.picture import Camera
from shipit import naming
from shipit.sandbox import lifecycle
from shipit.sandbox.load import run_load
from shipit.sandbox.state import State
from shipit.sandbox.tally import LoadReport
from tests.sandbox.conftest import CAN_RUN, unique_name

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(not CAN_RUN or not shutil.which("packer"), reason="needs root, HAProxy, iproute2 and Packer"),
    pytest.mark.xdist_group("end_to_end"),
]

ROOT = Path(__file__).parents[2]
RATE = 100
ENVIRONMENTS = ("canary", "sick", "preview", "images", "shrunken", "interrupted", "terminated", "sticky")
CRASHING = 'if VERSION == "v4":\n    raise SystemExit("v4 ends at once")\n\n\nclass Handler('


@dataclass
class World:
    """The sandbox, the repository of the app with its tags v1 to v4, and the way to type commands there."""

    sandbox: State
    folder: Path
    environment: dict[str, str]
    made: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self.made:
            keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
            self.made[service] = boto3.client(
                service, endpoint_url=self.sandbox.endpoint_url, region_name=self.sandbox.region, **keys
            )
        return self.made[service]

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "shipit", *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@dataclass(frozen=True)
class Ending:
    """How a command ended: its exit code and the events that it printed."""

    code: int
    events: list[dict[str, Any]]
    error: str

    @property
    def last(self) -> dict[str, Any]:
        return self.events[-1]

    @property
    def steps(self) -> list[str]:
        return [event["step"] for event in self.events if event["kind"] == "step"]

    @property
    def splits(self) -> list[dict[str, float]]:
        return [event["split"] for event in self.events if event["kind"] == "shifted"]


@dataclass(frozen=True)
class Site:
    """One environment of the app, as its people see it."""

    world: World
    env: str

    @property
    def path(self) -> str:
        return "/" if self.env == "sandbox" else f"/{self.env}/"

    def shipit(self, *words: str, expect: int = 0) -> Ending:
        process = self.world.start(*words, "--env", self.env, "--output", "json")
        out, err = process.communicate(timeout=120)
        assert process.returncode == expect, out + err
        events = [json.loads(line) for line in out.splitlines()]
        assert [event["kind"] for event in events].index("ending") == len(events) - 1
        return Ending(process.returncode, events, err)

    def status(self) -> dict[str, Any]:
        process = self.world.start("status", "--env", self.env, "--output", "json")
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        found: dict[str, Any] = json.loads(out)
        return found

    @property
    def serving(self) -> dict[str, float]:
        return {row["version"]: row["weight_percent"] for row in self.status()["split"] if row["weight_percent"]}

    def cookie(self) -> str:
        """The cookie that keeps a client where this request went."""
        with urllib.request.urlopen(self.world.sandbox.front_door_url.rstrip("/") + self.path, timeout=5) as answer:
            return str(answer.headers["Set-Cookie"]).partition(";")[0]

    def get(self, **headers: str) -> str:
        """Version that answers a request."""
        url = self.world.sandbox.front_door_url.rstrip("/") + self.path
        asked = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
        with urllib.request.urlopen(asked, timeout=5) as answer:
            return str(answer.headers["X-Version"])

    @contextmanager
    def under_load(self) -> Iterator[Callable[[], LoadReport]]:
        """Steady requests until the end of the block, none of which may fail."""
        stop, reports = threading.Event(), list[LoadReport]()
        url, path = self.world.sandbox.front_door_url, self.path
        thread = threading.Thread(target=lambda: reports.append(run_load(url, RATE, 600, path=path, stop=stop)))
        thread.start()
        try:
            yield lambda: reports[0]
        finally:
            stop.set()
            thread.join()
        report = reports[0]
        assert report.failed == 0, report.first_failures
        assert report.sent > 0

    def belongings(self) -> dict[str, Any]:
        """All that there is of this environment in the account, and how traffic is split."""
        asg = self.world.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        elb, ec2 = self.world.client("elbv2"), self.world.client("ec2")
        groups = elb.describe_target_groups()["TargetGroups"]
        rules = elb.describe_rules(ListenerArn=self.world.sandbox.listener_arn)["Rules"]
        prefix = naming.fleet_name("hello", self.env, "").rpartition("-")[0]
        found = {
            "groups": {
                g["AutoScalingGroupName"]: (
                    g["MinSize"],
                    g["DesiredCapacity"],
                    g["MaxSize"],
                    len(g["Instances"]),
                    sorted(p["ProcessName"] for p in g["SuspendedProcesses"]),
                )
                for g in asg
            },
            "target groups": {g["TargetGroupName"]: g["LoadBalancerArns"] for g in groups},
            "templates": {t["LaunchTemplateName"]: 1 for t in ec2.describe_launch_templates()["LaunchTemplates"]},
        }
        mine = {kind: {n: v for n, v in named.items() if n.startswith(prefix)} for kind, named in found.items()}
        live = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
        tagged = [{"Name": f"tag:{naming.ENV}", "Values": [self.env]}]
        reserved = ec2.describe_instances(Filters=[*live, *tagged])["Reservations"]
        instances = sorted(i["InstanceId"] for r in reserved for i in r["Instances"])
        return {**mine, "instances": instances, "rules": sorted(r["RuleArn"] for r in rules), "serving": self.serving}

    def token(self) -> str:
        """What the preview header must say, as a person reads it."""
        process = self.world.start("status", "--env", self.env)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return out.partition(f"header {naming.PREVIEW_HEADER}: ")[2].split()[0]

    def fleets(self) -> dict[str, str]:
        """Fleet by version."""
        return {row["version"]: row["fleet"] for row in self.status()["split"]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    name = unique_name()
    state = lifecycle.up(name, fast=True)
    try:
        folder = tmp_path_factory.mktemp("app") / "hello"
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "SHIPIT_"))},
            **lifecycle.environment(name),
            "PYTHONPATH": str(ROOT),
            "SHIPIT_SANDBOX": name,
            "SHIPIT_LOGS": str(folder.parent / "logs"),
        }
        made = World(state, folder, environment)
        make_repository(made)
        yield made
    finally:
        lifecycle.down(name)


def make_repository(world: World) -> None:
    """The hello app with tags v1 to v4: v3 is sick, v4 ends at once."""
    shutil.copytree(ROOT / "examples" / "hello", world.folder)
    server = world.folder / "server.py"
    server.write_text(server.read_text().replace("class Handler(", CRASHING, 1))
    (world.folder / "shipit.yml").write_text(json.dumps(settings(world)))
    git = ["git", "-C", str(world.folder), "-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    subprocess.run([*git, "init", "--quiet", "--initial-branch=main"], check=True)
    for version in ("v1", "v2", "v3", "v4"):
        (world.folder / "VERSION").write_text(f"{version}\n")
        if version == "v3":
            (world.folder / "SICK").touch()
        subprocess.run([*git, "add", "--all"], check=True)
        subprocess.run([*git, "commit", "--quiet", "--message", version], check=True)
        subprocess.run([*git, "tag", version], check=True)


def settings(world: World) -> dict[str, Any]:
    """shipit.yml (JSON is YAML): the sandbox's default action, and one rule for each other environment."""
    sandbox = world.sandbox
    common = {
        "app": "hello",
        "region": sandbox.region,
        "run": {"command": "/usr/bin/python3 server.py"},
        "fleet": {
            "subnets": sandbox.subnet_ids,
            "security_groups": [sandbox.security_group_ids["app"]],
            "instance_profile": sandbox.instance_profile,
            "size": 1,
            "grace_seconds": 30,
        },
        "health": {"path": "/healthz", "deadline_seconds": 12, "steady_seconds": 1, "poll_seconds": 0.3},
        "bake": {
            "source_image": {"id": sandbox.base_image_id},
            "ssh_username": "root",
            "ssh_interface": "private_ip",
            "subnet": sandbox.subnet_ids[0],
        },
    }
    environments: dict[str, Any] = {"sandbox": {}}
    for number, env in enumerate(ENVIRONMENTS, 100):
        timing = {"settle_seconds": 2, "drain_seconds": 2}
        environments[env] = {"traffic": {"rule": make_rule(world, env, number), **timing}}
    return {**common, "environments": environments}


def make_rule(world: World, env: str, priority: int) -> str:
    vacant = {"StatusCode": "503", "ContentType": "text/plain", "MessageBody": "nothing yet"}
    made = world.client("elbv2").create_rule(
        ListenerArn=world.sandbox.listener_arn,
        Priority=priority,
        Conditions=[{"Field": "path-pattern", "PathPatternConfig": {"Values": [f"/{env}/*"]}}],
        Actions=[{"Type": "fixed-response", "FixedResponseConfig": vacant}],
    )
    return str(made["Rules"][0]["RuleArn"])


def eventually(claim: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, f"still not true after {seconds:g} s"
        time.sleep(0.1)


def released(world: World, env: str, versions: Sequence[str] = ("v1",)) -> Site:
    site = Site(world, env)
    for version in versions:
        site.shipit("release", version)
    return site


def test_a_canary_grows_to_everything_and_a_rollback_takes_it_back(world: World) -> None:
    site = released(world, "canary")
    assert site.get() == "v1"
    with site.under_load():
        canary = site.shipit("release", "v2", "--canary", "10% 2s, 50% 1s, 100%")
        assert canary.splits == [{"v1": 90, "v2": 10}, {"v1": 50, "v2": 50}, {"v2": 100}]
        assert canary.last["ending"] == "succeeded"
        assert canary.last["serving"] == {"v2": 100}
        assert "shipit rollback" in canary.last["next"]
        assert site.get() == "v2"
        back = site.shipit("rollback")
        assert back.splits == [{"v1": 100}]
        assert back.last["seconds"] < 3
        assert site.get() == "v1"
        assert site.shipit("release", "v1").steps == [], "what serves already is not released again"


def test_the_default_action_is_released_to_twice_in_a_row(world: World) -> None:
    site = released(world, "sandbox")
    with site.under_load():
        for version in ("v2", "v1", "v2"):
            assert site.shipit("release", version).last["serving"] == {version: 100}
            assert site.get() == version
        document = site.status()
    assert {"app", "env", "split", "release", "rollback_targets", "frozen"} <= set(document)
    assert (document["app"], document["env"], document["release"], document["frozen"]) == (
        "hello",
        "sandbox",
        None,
        None,
    )
    wanted = {"version", "fleet", "weight_percent", "desired", "healthy", "image"}
    assert all(wanted <= set(row) for row in document["split"])
    assert document["rollback_targets"][0] == {"version": "v1", "instant": True}


@pytest.mark.parametrize(("version", "why"), [("v3", "Target.ResponseCodeMismatch"), ("v4", "healthy")])
def test_a_version_that_is_not_well_gets_no_request_and_leaves_nothing(world: World, version: str, why: str) -> None:
    site = released(world, "sick")
    before = site.belongings()
    with site.under_load() as report:
        failed = site.shipit("release", version, expect=1)
        assert failed.last["ending"] == "failed_clean"
        assert why in failed.last["reason"]
        assert failed.last["serving"] == {"v1": 100}
        assert failed.splits == []
    assert set(report().versions) == {"v1"}
    eventually(lambda: site.belongings() == before)


def test_a_staged_version_is_seen_by_its_preview_header_alone(world: World) -> None:
    site = released(world, "preview")
    with site.under_load() as report:
        staged = site.shipit("stage", "v2")
        assert staged.last["serving"] == {"v1": 100}
        green = site.token()
        assert f"{naming.PREVIEW_HEADER}: {green}" in staged.last["next"]
        assert {site.get(**{naming.PREVIEW_HEADER: green}) for _ in range(20)} == {"v2"}
        assert {site.get(**{naming.PREVIEW_HEADER: "other"}) for _ in range(20)} == {"v1"}
        assert site.serving == {"v1": 100}
    assert set(report().versions) == {"v1"}
    with site.under_load():
        shipped = site.shipit("release", "v2")
        assert "LaunchFleet" not in shipped.steps
        assert site.get(**{naming.PREVIEW_HEADER: green}) == "v2"
    rules = world.client("elbv2").describe_rules(ListenerArn=world.sandbox.listener_arn)["Rules"]
    values = [c["HttpHeaderConfig"]["Values"] for rule in rules for c in rule["Conditions"] if "HttpHeaderConfig" in c]
    assert [green] not in values


def test_clients_with_a_cookie_move_with_a_release_and_come_home_with_a_rollback(world: World) -> None:
    site = released(world, "sticky")
    camera = camera_of(site)
    camera.keep_clients(3600)
    cookie = site.cookie()
    with site.under_load():
        process = world.start("release", "v2", "--canary", "50% 60s, 100%", "--env", site.env)
        eventually(lambda: site.serving == {"v1": 50, "v2": 50})
        assert {site.get(Cookie=cookie) for _ in range(40)} == {"v1", "v2"}
        promoted = world.start("promote", "--full", "--env", site.env)
        assert promoted.communicate(timeout=60) and process.communicate(timeout=60)
        assert (process.returncode, promoted.returncode) == (0, 0)
        assert {site.get(Cookie=cookie) for _ in range(20)} == {"v2"}
        assert camera.look().sticky == (3600, 0)
        newer = site.cookie()
        back = site.shipit("rollback")
        assert back.steps[:2] == ["UnparkFleet", "ShiftTraffic"]
        assert {site.get(Cookie=newer) for _ in range(20)} == {"v1"}
        assert camera.look().sticky == (3600, 0)


def camera_of(site: Site) -> Camera:
    environments = json.loads((site.world.folder / "shipit.yml").read_text())["environments"]
    return Camera(site.world.sandbox, "hello", site.env, environments[site.env]["traffic"]["rule"])


def test_an_image_is_released_and_gone_back_to_without_a_bake(world: World) -> None:
    site = released(world, "images", ["v1", "v2"])
    images = {row["version"]: row["image"] for row in site.status()["split"]}
    with site.under_load():
        process = world.start("retire", "--yes", "--env", site.env)
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, out + err
        assert list(site.fleets()) == ["v2"]
        back = site.shipit("rollback", "--to", "v1")
        assert "LaunchFleet" in back.steps
        assert back.last["serving"] == {"v1": 100}
        assert site.get() == "v1"
        again = site.shipit("release", "--image", images["v2"])
        assert "BakeImage" not in again.steps
        assert again.last["serving"] == {"v2": 100}


def test_a_fleet_that_has_shrunk_gets_its_instances_back_before_its_traffic(world: World) -> None:
    site = released(world, "shrunken", ["v1", "v2"])
    blue = site.fleets()["v1"]
    asg = world.client("autoscaling")
    asg.update_auto_scaling_group(AutoScalingGroupName=blue, MinSize=0, DesiredCapacity=0)

    def is_empty() -> bool:
        found = asg.describe_auto_scaling_groups(AutoScalingGroupNames=[blue])["AutoScalingGroups"]
        return not found[0]["Instances"]

    eventually(is_empty)
    targets = site.status()["rollback_targets"]
    assert targets[0] == {"version": "v1", "instant": False}
    with site.under_load():
        back = site.shipit("rollback")
        assert back.steps.index("ResizeFleet") < back.steps.index("AwaitHealthy") < back.steps.index("ShiftTraffic")
        assert back.last["serving"] == {"v1": 100}
        assert site.get() == "v1"
    assert asg.describe_scheduled_actions(AutoScalingGroupName=blue)["ScheduledUpdateGroupActions"] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_release_that_is_stopped_can_be_gone_on_with(world: World, number: signal.Signals) -> None:
    site = released(world, "interrupted" if number is signal.SIGINT else "terminated")
    version = "v2"
    words = ("release", version, "--canary", "20% 60s, 100%")
    with site.under_load():
        process = world.start(*words, "--env", site.env, "--output", "json")
        assert process.stdout
        for line in process.stdout:
            if json.loads(line).get("step") == "Hold":
                break
        process.send_signal(number)
        began = time.monotonic()
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130, out + err
        assert json.loads(out.splitlines()[-1])["kind"] == "ending"
        assert time.monotonic() - began < 10
        assert "Traceback" not in err
        assert site.serving[version] == 20
        assert site.status()["release"]["version"] == version
        gone_on = site.shipit("release", version, "--canary", "20% 1s, 100%")
        assert "LaunchFleet" not in gone_on.steps
        assert gone_on.last["serving"] == {version: 100}
