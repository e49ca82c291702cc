"""Secrets of whoever types `shipit` stay where they are: not in what it prints or logs, nor in AWS, nor in the image.

Markers stand for the secrets; every kind of command runs with them around, and then they are looked for everywhere.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from shipit.sandbox import lifecycle
from tests.end_to_end import secrets_of_tests as secrets
from tests.end_to_end.secrets_of_tests import Find
from tests.end_to_end.test_release import ROOT, World, make_repository, make_rule
from tests.sandbox.conftest import CAN_RUN, unique_name

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(not CAN_RUN or not shutil.which("packer"), reason="needs root, HAProxy, iproute2 and Packer"),
    pytest.mark.xdist_group("end_to_end"),
]

ENV = "watched"
NONE: Mapping[str, str] = {}
DEBUG = {"SHIPIT_DEBUG": "1"}
UNSET = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "")
TELLING_SERVER = (
    'print({k: v for k, v in __import__("os").environ.items() if k != "APP_TOKEN"}, flush=True)\n\n\nclass Handler('
)


@dataclass
class Story:
    """What was typed and what came of it."""

    world: World
    home: Path
    said: dict[str, str] = field(default_factory=dict)
    command_lines: list[Find] = field(default_factory=list)

    @property
    def kept(self) -> Path:
        return self.home / "kept"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    def type(self, *words: str, expect: int = 0, variables: Mapping[str, str] = NONE) -> None:
        """Runs a command in both kinds of output; the first of them does the work."""
        for output in ("json", "human"):
            self.type_once(*words, "--output", output, expect=expect, variables=variables)

    def type_once(self, *words: str, expect: int = 0, variables: Mapping[str, str] = NONE) -> None:
        world = replace(self.world, environment={**self.world.environment, **variables})
        out, err = (process := world.start(*words)).communicate(timeout=120)
        assert process.returncode == expect, out + err
        self.said[" ".join((*words, *variables))] = out + err


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    name, home = unique_name(), tmp_path_factory.mktemp("home")
    state = lifecycle.up(name, fast=True)
    try:
        world = World(state, home / "hello", marked_environment(name, home))
        told = Story(world, home)
        prepare(told)
        with secrets.command_lines_watched() as told.command_lines:
            tell(told)
        yield told
    finally:
        lifecycle.down(name)


def marked_environment(name: str, home: Path) -> dict[str, str]:
    """The variables of a user who keeps every secret in one."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "SHIPIT_", "CI"))}
    return {
        **inherited,
        **lifecycle.environment(name),
        **secrets.VARIABLES,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "SHIPIT_SANDBOX": name,
        "SHIPIT_LOGS": str(home / "logs"),
    }


def prepare(story: Story) -> None:
    """The repository with its remote and its ignored file, the profile, and a Packer that keeps what it was given."""
    for folder in ("bin", "kept", ".aws"):
        (story.home / folder).mkdir()
    real = shutil.which("packer")
    shim = story.home / "bin" / "packer"
    shim.write_text(secrets.SHIM.format(kept=story.kept, packer=real))
    shim.chmod(0o755)
    lines = [f"{key} = {value}\n" for key, value in secrets.PROFILE.items()]
    (story.home / ".aws" / "credentials").write_text("".join(["[shop]\n", *lines]))
    make_repository(story.world)
    change_app(story)


def change_app(story: Story) -> None:
    """The app tells all its variables when it is baked and when it starts; v5 fails in its bake."""
    folder = story.world.folder
    settings = json.loads((folder / "shipit.yml").read_text())
    rule = make_rule(story.world, ENV, 300)
    settings["environments"] = {ENV: {"traffic": {"rule": rule, "settle_seconds": 1, "drain_seconds": 1}}}
    settings["health"]["deadline_seconds"] = 6
    settings["bake"]["scripts"] = ["telltale.sh"]
    settings["run"]["environment"] = {"APP_TOKEN": secrets.FOR_THE_APP}
    (folder / "shipit.yml").write_text(json.dumps(settings))
    server = folder / "server.py"
    server.write_text(server.read_text().replace("class Handler(", TELLING_SERVER, 1))
    (folder / ".gitignore").write_text(".env\nshipit.yml\n")
    (folder / ".env").write_text(secrets.DOTENV)
    with (folder / ".git" / "config").open("a") as config:
        config.write(f'[remote "origin"]\n\turl = {secrets.REMOTE}\n')
    git = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    subprocess.run([*git, "rm", "-q", "--cached", "shipit.yml"], check=True)
    for version, extra in (("m1", ""), ("m2", "echo two\n"), ("m3", "touch SICK\n"), ("m5", "exit 3\n")):
        (folder / "SICK").unlink(missing_ok=True)
        (folder / "VERSION").write_text(f"{version}\n")
        (folder / "telltale.sh").write_text(secrets.TELLTALE + extra)
        subprocess.run([*git, "add", "--all"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", version], check=True)
        subprocess.run([*git, "tag", version], check=True)


def tell(story: Story) -> None:
    """Every kind of command, with both kinds of credentials, with success and with each kind of failure."""
    story.type("bake", "m1", "--verbose")
    story.type("release", "m1", "--verbose")
    story.type("release", "m2", "--verbose", "--profile", "shop", variables=UNSET)
    story.type_once("release", "m3", "--verbose", "--output", "json", expect=1)
    story.type_once("release", "m5", "--verbose", expect=1)
    story.type_once("bake", "m5", "--output", "json", expect=1)
    for words in (("plan", "m1"), ("rollback",), ("status",), ("history",)):
        story.type(*words)
    story.type_once("logs")
    story.type_once("status", "--env", "nowhere", expect=2, variables=DEBUG)
    story.type_once("release", "nothing-of-that-name", expect=2, variables=DEBUG)
    closed = {**DEBUG, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    story.type_once("status", expect=1, variables=closed)


def test_no_command_prints_a_secret(story: Story) -> None:
    assert len(story.said) > 15
    assert any("Traceback" in text for text in story.said.values()), "an error with its traceback is among them"
    assert "SHIPIT_FLEET" in story.said["logs"], "the app told its variables"
    assert [find for words, text in story.said.items() for find in secrets.finds(words, text.encode())] == []


def test_no_log_of_a_bake_has_a_secret(story: Story) -> None:
    assert "PATH=" in "".join(path.read_text() for path in story.logs.glob("bake-*.log")), (
        "the builder told its variables"
    )
    assert list(secrets.in_folder(story.logs)) == []


@pytest.mark.parametrize("place", ["history", "tags", "images", "balancer", "groups", "consoles", "user data"])
def test_nothing_in_the_account_has_a_secret(story: Story, place: str) -> None:
    assert secrets.in_account(story.world)[place] == []


def test_no_image_has_a_secret_in_its_layers(story: Story) -> None:
    layers, found = secrets.in_images(story.world.sandbox)
    assert layers >= 2
    assert found == []


def test_no_instance_has_a_secret_on_its_disk_but_the_values_for_the_app(story: Story) -> None:
    assert secrets.in_disks(story.world.sandbox) == []


def test_packer_is_given_no_secret_in_a_file(story: Story) -> None:
    given = list(story.kept.glob("given-*"))
    assert len(given) >= 4
    assert all((folder / "bundle.tar").is_file() for folder in given)
    assert list(secrets.in_folder(story.kept)) == []


def test_no_secret_is_on_a_command_line(story: Story) -> None:
    assert story.command_lines == []


def test_the_sandbox_keeps_no_secret(story: Story) -> None:
    assert secrets.in_daemon_files(story.world.sandbox) == []


def test_a_secret_would_have_been_found(story: Story) -> None:
    words = [sys.executable, "-c", "import time; time.sleep(0.5)", secrets.VARIABLES["NPM_TOKEN"]]
    with secrets.command_lines_watched() as found:
        subprocess.run(words, check=True)
    assert found
    assert list(secrets.in_folder(story.home / ".aws"))
    assert list(secrets.in_folder(story.world.folder))
