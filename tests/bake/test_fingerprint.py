from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shipit.bake.fingerprint import fingerprint
from shipit.bake.render import choose_template
from tests.bake.conftest import config_at

TREE, SOURCE = "a" * 40, "ami-0123456789abcdef0"


def taken(folder: Path, tree: str = TREE, source: str = SOURCE, **sections: Any) -> str:
    config = config_at(folder, **sections)
    return fingerprint(config, choose_template(config), tree, source)


def test_the_same_inputs_have_the_same_fingerprint(tmp_path: Path) -> None:
    assert taken(tmp_path) == taken(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"tree": "b" * 40},
        {"source": "ami-0123456789abcdef1"},
        {"bake": {"instance_type": "c7i.large"}},
        {"bake": {"scripts": ["deploy/install.sh"]}},
        {"bake": {"variables": {"A": "1"}}},
        {"bake": {"folder": "/opt/app"}},
        {"run": {"command": "/usr/bin/python3 other.py"}},
        {"app": "other"},
    ],
    ids=str,
)
def test_what_decides_the_image_changes_it(tmp_path: Path, change: dict[str, Any]) -> None:
    assert taken(tmp_path, **change) != taken(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"run": {"command": "/usr/bin/python3 server.py", "environment": {"A": "1"}}},
        {"fleet": {"size": 4, "max_size": 8}},
        {"bake": {"timeout_minutes": 5}},
    ],
    ids=str,
)
def test_what_belongs_to_the_launch_does_not(tmp_path: Path, change: dict[str, Any]) -> None:
    assert taken(tmp_path, **change) == taken(tmp_path)


def test_a_template_that_uses_the_version_still_gives_one_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "packer").mkdir()
    (tmp_path / "packer/shipit.pkr.hcl.j2").write_text("# {{ version.name | hcl }} {{ version.commit | hcl }}\n")
    assert taken(tmp_path) == taken(tmp_path)


def test_own_template_and_own_scripts_change_it(tmp_path: Path) -> None:
    before = taken(tmp_path)
    (tmp_path / "packer/scripts").mkdir(parents=True)
    (tmp_path / "packer/shipit.pkr.hcl.j2").write_text("# mine\n")
    with_template = taken(tmp_path)
    (tmp_path / "packer/scripts/extra.sh").write_text("true\n")
    assert len({before, with_template, taken(tmp_path)}) == 3


def test_variables_cannot_be_shifted_into_each_other(tmp_path: Path) -> None:
    one = taken(tmp_path, bake={"variables": {"A": "1\nexport B=2"}})
    two = taken(tmp_path, bake={"variables": {"A": "1", "B": "2"}})
    assert one != two
