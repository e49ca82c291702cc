"""The real Packer bakes the example in the sandbox, races with itself, and is killed; what boots is what was committed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipit.aws.builders import AwsBuilders
from shipit.aws.images import AwsImages
from shipit.aws.session import Session
from shipit.bake.baker import PackerBaker, Workplace
from shipit.bake.files import data_path
from shipit.bake.git import Repository
from shipit.bake.user_data import render_user_data
from shipit.errors import BakeError, Stopped
from shipit.model import Image
from shipit.ports import Launch
from shipit.sandbox.state import State
from tests.bake.conftest import Checkout, config_at
from tests.bake.test_packer import RealClock
from tests.sandbox.conftest import client, sandbox

__all__ = ["client", "sandbox"]

pytestmark = [pytest.mark.sandbox, pytest.mark.skipif(shutil.which("packer") is None, reason="needs Packer")]
HELLO = data_path("examples", "hello")


class Bakery:
    """Bakes the example, as it is in a repository of its own, in the sandbox."""

    def __init__(self, folder: Path, state: State) -> None:
        self.checkout = Checkout(folder / "hello")
        self.state = state
        self.logs = folder / "logs"
        self.clock = RealClock()
        self.said: list[str] = []
        for name in ("server.py", "VERSION"):
            self.checkout.write(name, (HELLO / name).read_text())

    def commit(self, **files: str) -> str:
        # Tests share a sandbox: the same tree would be the same image.
        self.checkout.write("id", str(self.checkout.folder))
        return self.checkout.commit(**files)

    def baker(self, **bake: Any) -> PackerBaker:
        state = self.state
        keys = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "sandbox"}
        session = Session(state.region, None, endpoint_url=state.endpoint_url, **keys)
        self.config = config_at(
            self.checkout.folder,
            bake={
                "source_image": {"id": state.base_image_id},
                "ssh_username": "root",
                "ssh_interface": "private_ip",
                **bake,
            },
            run={"command": "/usr/bin/python3 server.py", "environment": {"GREETING": "it's $HOME"}},
        )
        images = AwsImages(session, "hello", self.clock)
        workplace = Workplace(os.environ, self.logs, "ada")
        return PackerBaker(self.config, images, AwsBuilders(session), self.clock, self._hear, workplace)

    def _hear(self, event: Any) -> None:
        self.said.append(getattr(event, "text", getattr(event, "reason", "")))

    def bake(self, ref: str = "main", **bake: Any) -> Image:
        baker = self.baker(**bake)
        return baker.bake(Repository(self.checkout.folder).resolve(ref))


@pytest.fixture
def bakery(tmp_path: Path, sandbox: State) -> Bakery:
    return Bakery(tmp_path, sandbox)


@pytest.fixture
def leftovers(client: Callable[[str], Any]) -> Callable[[], list[str]]:
    def found() -> list[str]:
        ec2 = client("ec2")
        states = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
        marked = [{"Name": "tag-key", "Values": ["shipit:bake"]}, *states]
        instances = [
            one["InstanceId"] for r in ec2.describe_instances(Filters=marked)["Reservations"] for one in r["Instances"]
        ]
        keys = [
            key["KeyName"] for key in ec2.describe_key_pairs()["KeyPairs"] if key["KeyName"].startswith("shipit-bake")
        ]
        groups = [group["GroupName"] for group in ec2.describe_security_groups()["SecurityGroups"]]
        return instances + keys + [name for name in groups if name.startswith("packer_")]

    return found


def test_what_was_committed_boots_with_what_the_launch_says(
    bakery: Bakery,
    client: Callable[[str], Any],
    leftovers: Callable[[], list[str]],
) -> None:
    bakery.checkout.write("deploy/install.sh", 'echo "$COLOUR" >colour\n')
    bakery.commit()
    image = bakery.bake(scripts=["deploy/install.sh"], variables={"COLOUR": "it's $(id)"})
    assert leftovers() == []
    launch = Launch("hello-production-1a2b3c4d", image.version, image.id, "digest", 1)
    ec2 = client("ec2")
    user_data = render_user_data(bakery.config, launch)
    (instance,) = ec2.run_instances(
        ImageId=image.id, MinCount=1, MaxCount=1, InstanceType="t3.micro", UserData=user_data
    )["Instances"]
    try:
        assert page(f"http://{instance['PrivateIpAddress']}:8080/") == "hello from v1\n"
    finally:
        ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])


def test_two_bakes_at_once_make_one_image(bakery: Bakery, leftovers: Callable[[], list[str]]) -> None:
    bakery.commit()
    made: list[Image] = []
    threads = [threading.Thread(target=lambda: made.append(bakery.bake())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({image.id for image in made}) == 1
    assert len(made) == 2
    assert leftovers() == []


def test_a_failed_script_ends_the_bake_and_leaves_nothing(bakery: Bakery, leftovers: Callable[[], list[str]]) -> None:
    bakery.checkout.write("deploy/bad.sh", "echo trying\necho 'no such package' >&2\nexit 3\n")
    bakery.commit()
    with pytest.raises(BakeError, match=r"deploy/bad\.sh ended with exit code 3") as caught:
        bakery.bake(scripts=["deploy/bad.sh"])
    assert "no such package" in caught.value.why
    assert leftovers() == []


def test_a_stop_in_the_middle_leaves_nothing(bakery: Bakery, leftovers: Callable[[], list[str]]) -> None:
    bakery.checkout.write("deploy/slow.sh", "echo now; sleep 60\n")
    bakery.commit()

    def stop_in_the_middle() -> None:
        wait_for(lambda: "    now" in bakery.said)
        bakery.clock.stop.set()

    threading.Thread(target=stop_in_the_middle).start()
    with pytest.raises(Stopped):
        bakery.bake(scripts=["deploy/slow.sh"])
    assert leftovers() == []


KILLED = """
import sys
from pathlib import Path
from shipit.sandbox import state
from tests.bake.test_bake_in_sandbox import Bakery
bakery = Bakery(Path(sys.argv[1]), state.read(sys.argv[2]))
bakery._hear = lambda event: print(getattr(event, "text", ""), flush=True)
bakery.bake(scripts=["deploy/slow.sh"])
"""


@pytest.mark.parametrize("packer_too", [False, True], ids=["shipit", "shipit and Packer"])
def test_what_a_killed_bake_leaves_is_gone_after_the_next_one(
    bakery: Bakery,
    sandbox: State,
    leftovers: Callable[[], list[str]],
    tmp_path: Path,
    packer_too: bool,
) -> None:
    bakery.checkout.write("deploy/slow.sh", "echo now; sleep 60\n")
    bakery.commit()
    arguments = [sys.executable, "-c", KILLED, str(tmp_path), sandbox.name]
    root = str(data_path())
    with subprocess.Popen(arguments, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for text in process.stdout:
            if text.strip() == "now":
                break
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.kill()
        for child in children if packer_too else []:
            os.killpg(int(child), signal.SIGKILL)
    if packer_too:
        assert len(leftovers()) == 3
        bakery.bake()
    wait_for(lambda: not leftovers())


def page(url: str) -> str:
    """The page, once it answers."""
    found: list[str] = []

    def answers() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=2) as response:
                found.append(response.read().decode())
        except OSError:
            return False
        return True

    wait_for(answers)
    return found[-1]


def wait_for(claim: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)
