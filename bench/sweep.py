"""One environment of an app, as its people and its enemies see it: commands, how they end, what there is, what goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.picture import Camera, Picture, complaints
from bench.world import ROOT
from shipit.sandbox import lifecycle
from shipit.sandbox.state import State

COMMAND_SECONDS = 180
CANARY = ("--canary", "50% 1s, 100%")
# Packer's and Python's own files go where the sweep's folder goes.
_UNWANTED = ("AWS_", "SHIPIT_", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class Done:
    """A command that has ended: exit code, events, what it wrote to standard error, and the calls that it made."""

    code: int
    events: list[dict[str, Any]]
    error: str
    calls: list[str]

    @property
    def killed(self) -> bool:
        return self.code == -9

    @property
    def ending(self) -> dict[str, Any]:
        last = self.events[-1] if self.events else {}
        return last if last.get("kind") == "ending" else {}

    @property
    def unexplained(self) -> str:
        """Why this is no answer that a user can work with; empty when it is one."""
        text = json.dumps(self.events[-3:]) + self.error
        if "Traceback" in text or "this is a bug" in text:
            return f"a bug came through: {text[-600:]}"
        told = self.ending or ("why:" in self.error and "next:" in self.error)
        return "" if told or self.killed else f"exit {self.code} without an ending or an error: {text[-600:]}"

    def __str__(self) -> str:
        ending = {key: self.ending.get(key) for key in ("ending", "reason", "next")} if self.ending else ""
        return f"exit {self.code} {ending} {self.error[-400:]}".strip()


@dataclass(frozen=True)
class Site:
    """One environment and its own clone of the repository."""

    state: State
    env: str
    folder: Path
    target: str

    @property
    def url(self) -> str:
        return self.state.front_door_url.rstrip("/") + (
            "/" if self.target == self.state.listener_arn else f"/{self.env}/"
        )

    @cached_property
    def camera(self) -> Camera:
        return Camera(self.state, "hello", self.env, self.target)

    @cached_property
    def environment(self) -> dict[str, str]:
        home = str(self.folder.parent)
        kept = {key: value for key, value in os.environ.items() if not key.startswith(_UNWANTED)}
        places = {"XDG_CACHE_HOME": home, "XDG_STATE_HOME": home, "TMPDIR": home, "PYTHONPYCACHEPREFIX": f"{home}/pyc"}
        # In the User-Agent of every call, so that chaos can be meant for one environment.
        app = {"AWS_SDK_UA_APP_ID": self.env, "PYTHONPATH": str(ROOT), "SHIPIT_SANDBOX": self.state.name}
        return {**kept, **lifecycle.environment(self.state.name), **places, **app}

    def start(
        self,
        *words: str,
        at: int = 0,
        phase: str = "before",
        step: str = "",
        calls: str = os.devnull,
        patient: bool = False,
    ) -> subprocess.Popen[str]:
        """Starts a command; a `patient` one retries as slowly as botocore does by itself."""
        program = [
            sys.executable,
            "-m",
            "bench.doomed",
            "--at",
            str(at),
            "--phase",
            phase,
            "--step",
            step,
            "--calls",
            calls,
        ]
        command = [*program, *(["--patient"] if patient else []), "--", *words, "--env", self.env, "--output", "json"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True, **pipes)

    def shipit(self, *words: str, at: int = 0, phase: str = "before", step: str = "") -> Done:
        """Runs a command to its end, or until it is killed at a call (of a kind of step)."""
        file = Path(tempfile.mkstemp(dir=self.folder.parent, prefix="calls-")[1])
        process = self.start(*words, at=at, phase=phase, step=step, calls=str(file))
        done = finished(process)
        calls = file.read_text().splitlines()
        file.unlink()
        return Done(done.code, done.events, done.error, calls)

    def must(self, *words: str) -> Done:
        """Raises `RuntimeError` unless the command succeeds."""
        done = self.shipit(*words)
        if done.code:
            raise RuntimeError(f"{self.env}: {' '.join(words)}: {done}")
        return done

    def resume(self, *words: str) -> Done:
        """Goes on with what was cut short: `shipit resume`, and the command again where that says that there is nothing."""
        done = self.shipit("resume")
        nothing = str(done.ending.get("reason", "")).startswith("nothing was under way")
        return self.shipit(*words) if nothing else done

    def settles(self, wrong: Callable[[Picture], list[str]], seconds: float = 10) -> list[str]:
        """What is wrong with the picture still, after the time that Auto Scaling may take to end instances."""
        deadline = time.monotonic() + seconds
        while (found := wrong(self.camera.look())) and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    def serves(self, version: str, *, alone: bool = False) -> list[str]:
        return self.settles(lambda picture: complaints(picture, version, alone=alone))

    @property
    def serving(self) -> str:
        return next(iter(self.camera.look().serving))

    def chaos(self, **rule: Any) -> int:
        """Sets a rule for this environment's commands."""
        answer = lifecycle.ask(self.state.name, "POST", "/_shipit/chaos", **{"agent": f"app/{self.env}", **rule})
        return int(answer["id"])

    def calm(self, number: int | None) -> dict[str, Any]:
        """Forgets the rule; returns what it had done."""
        rules = lifecycle.ask(self.state.name, "GET", "/_shipit/chaos")
        lifecycle.ask(self.state.name, "DELETE", "/_shipit/chaos", id=number)
        return next((rule for rule in rules if rule["id"] == number), {})

    def version(self, name: str, **files: str) -> None:
        """Commits and tags a version in this clone."""
        commit(self.folder, name, files)


def finished(process: subprocess.Popen[str], seconds: float = COMMAND_SECONDS) -> Done:
    """Waits for a command; one that takes too long is killed, which the exit code -9 and the error say."""
    try:
        out, error = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, error = process.communicate()
        error += f"\nTraceback: still running after {seconds:g} s"
    lines = [line for line in out.splitlines() if line.startswith("{") and line.endswith("}")]
    return Done(process.returncode, [json.loads(line) for line in lines], error, [])


def commit(folder: Path, name: str, files: Mapping[str, str]) -> None:
    """Commits and tags a version; `files` are written beside VERSION."""
    (folder / "VERSION").write_text(f"{name}\n")
    for file, text in files.items():
        (folder / file.replace("__", ".")).write_text(text)
    git = ["git", "-C", str(folder), "-c", "user.name=bench", "-c", "user.email=bench@example.invalid"]
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", name], check=True)
    subprocess.run([*git, "tag", name], check=True)
