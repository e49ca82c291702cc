from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from shipit.bake.bundle import image_parts, write_bundle
from shipit.bake.git import Repository
from shipit.errors import UsageError
from tests.bake.conftest import Checkout, config_at


def bundled(checkout: Checkout, into: Path, **bake: object) -> Path:
    repository = Repository(checkout.folder)
    version = repository.resolve("main")
    repository.archive(version, into / "tree.tar")
    write_bundle(config_at(checkout.folder, bake=bake), version, into / "tree.tar", into / "bundle.tar")
    return into / "bundle.tar"


def test_the_same_commit_gives_the_same_bytes(checkout: Checkout, tmp_path: Path) -> None:
    checkout.write("run.sh", "#!/bin/sh\n")
    (checkout.folder / "run.sh").chmod(0o755)
    checkout.commit()
    first = bundled(checkout, tmp_path).read_bytes()
    old = os.umask(0o077)
    try:
        assert bundled(checkout, tmp_path).read_bytes() == first
    finally:
        os.umask(old)
    with tarfile.open(tmp_path / "bundle.tar") as bundle:
        assert bundle.getmember("tree/run.sh").mode == 0o755
        assert bundle.getmember("tree/VERSION").mode == 0o644
        assert {(member.uid, member.mtime) for member in bundle} == {(0, 315532800)}


def test_links_and_odd_names_survive(checkout: Checkout, tmp_path: Path) -> None:
    (checkout.folder / "link").symlink_to("VERSION")
    name = "ünï " + "long" * 40
    checkout.write(name, "x\n")
    checkout.commit()
    with tarfile.open(bundled(checkout, tmp_path)) as bundle:
        assert bundle.getmember("tree/link").linkname == "VERSION"
        assert bundle.getmember(f"tree/{name}").isreg()


def test_a_script_that_is_not_in_the_commit_is_an_error_before_anything_runs(
    checkout: Checkout, tmp_path: Path
) -> None:
    checkout.write("deploy/install.sh", "true\n")
    with pytest.raises(UsageError, match=r"deploy/install.sh is not in main") as caught:
        bundled(checkout, tmp_path, scripts=["deploy/install.sh"])
    assert caught.value.next == "git add deploy/install.sh && git commit"


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside.sh", "a\nb"])
def test_a_script_outside_the_app_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="not a file of the app"):
        image_parts(config_at(tmp_path, bake={"scripts": [name]}))


def test_variables_reach_a_shell_unchanged(tmp_path: Path) -> None:
    value = 'it\'s $(id) `id` ${HOME}\nline "two" \\'
    parts = image_parts(config_at(tmp_path, bake={"variables": {"ODD": value}}))
    (tmp_path / "variables.sh").write_bytes(parts["variables.sh"])
    said = subprocess.run(
        ["sh", "-c", '. ./variables.sh; printf %s "$ODD"'], cwd=tmp_path, capture_output=True, check=True
    ).stdout
    assert said.decode() == value


def test_the_unit_runs_the_command_in_the_folder_as_the_user(tmp_path: Path) -> None:
    run = {"command": "/usr/bin/python3 server.py --date=%H", "user": "web"}
    unit = image_parts(config_at(tmp_path, run=run, bake={"folder": "/opt/app"}))["app.service"].decode()
    assert "ExecStart=/usr/bin/python3 server.py --date=%%H\n" in unit
    assert "User=web\n" in unit
    assert "WorkingDirectory=/opt/app\n" in unit
    assert "Ambient" not in unit


def test_an_app_on_a_low_port_may_bind_it(tmp_path: Path) -> None:
    unit = image_parts(config_at(tmp_path, fleet={"port": 80}))["app.service"].decode()
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE\n" in unit


def test_a_command_of_two_lines_cannot_add_to_the_unit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot stand in a systemd unit"):
        image_parts(config_at(tmp_path, run={"command": "true\nExecStartPre=/bin/evil"}))


def test_without_a_command_there_is_no_unit(tmp_path: Path) -> None:
    assert "app.service" not in image_parts(config_at(tmp_path, run={}))
