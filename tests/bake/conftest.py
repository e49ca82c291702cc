from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from shipit.bake.render import Inputs
from shipit.config import Config
from shipit.model import Version
from shipit.settings import Settings

COMMIT = "0123456789abcdef0123456789abcdef01234567"
INPUTS = Inputs(
    modern=False,
    version=Version("v1", COMMIT),
    source_image="ami-0123456789abcdef0",
    fingerprint="f" * 64,
    image_name="hello-" + "f" * 32,
    mark="shipit-bake:hello:20261122T101500Z:31m:ci-7.0a1b2c3d:4711:9f3c2a01",
    bundle="bundle.tar",
    manifest="manifest.json",
    region="eu-west-1",
    endpoint=None,
    who="ada",
)


@pytest.fixture
def inputs() -> Inputs:
    return INPUTS


@pytest.fixture
def modern_inputs() -> Inputs:
    return replace(INPUTS, modern=True)


class Checkout:
    """A git repository to commit into, with the app in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
        return subprocess.run(
            ["git", *identity, *arguments], cwd=self.folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self, message: str = "change", **files: str) -> str:
        """Commits everything; keyword arguments are files. Returns the commit's id."""
        for name, text in files.items():
            self.write(name, text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path / "app")
    made.commit("first", VERSION="v1\n")
    made.git("tag", "v1")
    return made


def config_at(folder: Path, **sections: object) -> Config:
    given = {"app": "hello", "run": {"command": "/usr/bin/python3 server.py"}, **sections}
    return Config(Settings.model_validate(given), "production", folder, folder / "shipit.yml")
