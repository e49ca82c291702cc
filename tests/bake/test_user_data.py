from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from shipit.bake.user_data import render_user_data
from shipit.errors import UsageError
from shipit.model import Version
from shipit.ports import Launch
from tests.bake.conftest import COMMIT, config_at

HOSTILE = ['v1"; rm -rf /', "${env.HOME}", "%{ if }", "a\ntouch pwned", "☃", "$(touch pwned)", "'; touch pwned; '"]


def launch(version: str = "v1") -> Launch:
    return Launch("hello-production-1a2b3c4d", Version(version, COMMIT), "ami-0123456789abcdef0", "digest", 2)


def run(text: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Runs user data with /etc/shipit moved below `root` and a systemctl that only notes how it was called."""
    (root / "etc/systemd/system").mkdir(parents=True, exist_ok=True)
    (root / "bin").mkdir(exist_ok=True)
    (root / "bin/systemctl").write_text(f'#!/bin/sh\necho "$@" >>{root}/systemctl\n')
    (root / "bin/systemctl").chmod(0o755)
    (root / "etc/systemd/system/shipit-hello.service").touch()
    moved = text.replace("/etc/", f"{root}/etc/")
    environ = {"PATH": f"{root}/bin:/usr/bin:/bin"}
    return subprocess.run(["sh"], input=moved, capture_output=True, text=True, cwd=root, env=environ, check=False)


def read_back(root: Path, key: str) -> str:
    script = f'. {root}/etc/shipit/release; . {root}/etc/shipit/app.env; printf %s "${key}"'
    return subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout.decode()


def test_an_instance_learns_what_it_is_and_starts_the_app(tmp_path: Path) -> None:
    config = config_at(tmp_path, run={"command": "x", "environment": {"GREETING": "hi"}}, fleet={"port": 9000})
    assert run(render_user_data(config, launch()), tmp_path).returncode == 0
    assert read_back(tmp_path, "SHIPIT_VERSION") == "v1"
    assert read_back(tmp_path, "SHIPIT_COMMIT") == COMMIT
    assert read_back(tmp_path, "SHIPIT_FLEET") == "hello-production-1a2b3c4d"
    assert read_back(tmp_path, "PORT") == "9000"
    assert read_back(tmp_path, "GREETING") == "hi"
    assert (tmp_path / "systemctl").read_text() == "restart --no-block shipit-hello.service\n"
    assert (tmp_path / "etc/shipit/app.env").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_version_or_value_stays_text(tmp_path: Path, name: str) -> None:
    config = config_at(tmp_path, run={"command": "x", "environment": {"ODD": name}})
    assert run(render_user_data(config, launch(name)), tmp_path).returncode == 0
    assert read_back(tmp_path, "SHIPIT_VERSION") == name
    assert read_back(tmp_path, "ODD") == name
    assert not (tmp_path / "pwned").exists()


def test_the_users_script_runs_first_and_sees_the_environment(tmp_path: Path) -> None:
    (tmp_path / "boot.sh").write_text('echo "$SHIPIT_VERSION $A" >said\necho "B=2" >>etc/shipit/app.env\n')
    config = config_at(tmp_path, fleet={"user_data": "boot.sh"}, run={"command": "x", "environment": {"A": "1"}})
    assert run(render_user_data(config, launch()), tmp_path).returncode == 0
    assert (tmp_path / "said").read_text() == "v1 1\n"
    assert read_back(tmp_path, "B") == "2"


def test_the_app_is_not_started_when_the_users_script_fails(tmp_path: Path) -> None:
    (tmp_path / "boot.sh").write_text("false\ntrue\n")
    result = run(render_user_data(config_at(tmp_path, fleet={"user_data": "boot.sh"}), launch()), tmp_path)
    assert result.returncode == 1
    assert "fleet.user_data failed" in result.stdout
    assert not (tmp_path / "systemctl").exists()
    assert not (tmp_path / "etc/shipit/release").exists()


def test_user_data_above_the_limit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "boot.sh").write_text("# " + "x" * 17000)
    with pytest.raises(UsageError, match=r"has \d+ bytes"):
        render_user_data(config_at(tmp_path, fleet={"user_data": "boot.sh"}), launch())


def test_a_missing_script_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"boot\.sh cannot be read"):
        render_user_data(config_at(tmp_path, fleet={"user_data": "boot.sh"}), launch())
