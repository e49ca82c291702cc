"""Packer as a child, with scripts in its place; the real one is in test_bake_end_to_end.py."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shipit.bake import packer as subject
from shipit.bake.packer import Outcome, Packer, built_image, find_packer, install_plugins, run_packer
from shipit.errors import BakeError, Stopped, UsageError


class RealClock:
    def __init__(self) -> None:
        self.stop = threading.Event()

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise Stopped("stopped")


def fake(folder: Path, script: str) -> Mapping[str, str]:
    """An environment whose `packer` is this shell script."""
    folder.mkdir(exist_ok=True)
    path = folder / "packer"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def run(tmp_path: Path, script: str, clock: RealClock | None = None, timeout: float = 30) -> tuple[Outcome, list[str]]:
    environ = fake(tmp_path / "bin", script)
    (tmp_path / "work").mkdir()
    heard: list[str] = []
    packer = Packer(str(tmp_path / "bin/packer"), (1, 6, 6))
    outcome = run_packer(packer, tmp_path / "work", environ, clock or RealClock(), timeout, heard.append)
    return outcome, heard


@pytest.mark.parametrize(
    ("said", "modern"), [("Packer v1.6.6", False), ("Packer v1.7.0-dev", True), ("Packer v1.11.2", True)]
)
def test_the_version_decides_the_generation(tmp_path: Path, said: str, modern: bool) -> None:
    assert find_packer(fake(tmp_path, f"echo '{said}'")).modern is modern


def test_no_packer_is_an_error_that_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no Packer") as caught:
        find_packer({"PATH": str(tmp_path)})
    assert "apt-get install packer" in caught.value.next


def test_another_program_called_packer_is_not_taken_for_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not HashiCorp's"):
        find_packer(fake(tmp_path, "echo 'skipping line: 1'"))


def test_every_line_is_heard_also_the_last_ones(tmp_path: Path) -> None:
    outcome, heard = run(tmp_path, "echo one; echo two; sleep 0.2; echo three; exit 7")
    assert outcome == Outcome(7)
    assert heard == ["one", "two", "three"]


def test_it_runs_quietly_without_a_debug_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {**fake(tmp_path / "bin", "env; echo args $@"), "PACKER_LOG": "1", "PACKER_LOG_PATH": "x", "A": "1"}
    heard: list[str] = []
    packer = Packer(str(tmp_path / "bin/packer"), (1, 6, 6))
    run_packer(packer, tmp_path, environ, RealClock(), 30, heard.append)
    assert {"CHECKPOINT_DISABLE=1", "PACKER_NO_COLOR=1", "A=1"} <= set(heard)
    assert not [text for text in heard if text.startswith("PACKER_LOG")]
    assert "args build -machine-readable -color=false ." in heard


CLEANS_UP = (
    "trap 'echo cleaning; sleep 0.5; echo cleaned; exit 1' TERM; trap '' INT; echo up; while :; do sleep 0.05; done"
)


def test_a_stop_waits_until_packer_has_cleaned_up(tmp_path: Path) -> None:
    clock = RealClock()
    threading.Timer(0.5, clock.stop.set).start()
    heard: list[str] = []
    environ = fake(tmp_path / "bin", CLEANS_UP)
    with pytest.raises(Stopped):
        run_packer(Packer(str(tmp_path / "bin/packer"), (1, 6, 6)), tmp_path, environ, clock, 30, heard.append)
    assert heard[0] == "up"
    assert heard[-2:] == ["cleaning", "cleaned"]


def test_a_timeout_stops_it_in_the_same_way(tmp_path: Path) -> None:
    outcome, heard = run(tmp_path, CLEANS_UP, timeout=0.5)
    assert outcome == Outcome(1, timed_out=True)
    assert heard[-1] == "cleaned"


def test_what_does_not_end_is_killed_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "CLEAN_UP_SECONDS", 0.6)
    script = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; sleep 60' & wait; sleep 60"
    outcome, heard = run(tmp_path, script, timeout=0.5)
    assert outcome == Outcome(-9, timed_out=True)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{heard[0]}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    status = Path(f"/proc/{heard[0]}/status")
    assert not status.exists() or "Z (zombie)" in status.read_text()


def test_packer_is_not_in_our_session_so_that_the_terminals_interrupt_does_not_reach_it(tmp_path: Path) -> None:
    _, heard = run(tmp_path, "ps -o sid= -p $$")
    assert int(heard[0]) != os.getsid(0)


def test_plugins_are_installed_for_a_modern_packer_only(tmp_path: Path) -> None:
    environ = fake(tmp_path / "bin", 'echo "no network" >&2; exit 1')
    path = str(tmp_path / "bin/packer")
    install_plugins(Packer(path, (1, 6, 6)), tmp_path, environ)
    with pytest.raises(BakeError, match="plugin cannot be installed") as caught:
        install_plugins(Packer(path, (1, 9, 0)), tmp_path, environ)
    assert caught.value.why == "no network"


def test_the_image_is_that_of_the_last_run_in_the_manifest(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(
        '{"builds": [{"artifact_id": "eu-west-1:ami-1", "packer_run_uuid": "a"},'
        '{"artifact_id": "eu-west-1:ami-2", "packer_run_uuid": "b"}], "last_run_uuid": "b"}'
    )
    assert built_image(path) == "ami-2"


@pytest.mark.parametrize("text", ["", "{}", '{"builds": [], "last_run_uuid": "b"}', "not json"])
def test_a_manifest_without_an_image_is_no_image(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert built_image(tmp_path / "manifest.json") is None
    assert built_image(tmp_path / "missing.json") is None
