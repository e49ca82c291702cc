"""The built-in template in both generations of Packer's language, pinned as golden files; `make golden` rewrites them."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import hcl2
import pytest

from shipit.bake.files import data_path
from shipit.bake.render import PLUGINS, Inputs, Template, choose_template, render_text, stand_ins
from shipit.errors import UsageError
from shipit.model import Version
from tests.bake.conftest import INPUTS, config_at

GOLDEN = Path(__file__).parent.parent / "golden" / "packer"
ALL_OPTIONS: dict[str, Any] = {
    "instance_type": "c7i.large",
    "subnet": "subnet-0123456789abcdef0",
    "security_groups": ["sg-0123456789abcdef0", "sg-0123456789abcdef1"],
    "instance_profile": "builder",
    "encrypt": True,
    "kms_key": "alias/images",
    "ssh_username": "admin",
    "scripts": ["deploy/install.sh"],
    "variables": {"COLOUR": "blue"},
}
CASES: dict[str, tuple[dict[str, Any], Inputs]] = {
    "defaults-1.6": ({}, INPUTS),
    "defaults-1.7": ({}, replace(INPUTS, modern=True)),
    "all-options-1.6": (ALL_OPTIONS, INPUTS),
    "all-options-1.7": (ALL_OPTIONS, replace(INPUTS, modern=True)),
    "ssm-1.7": ({**ALL_OPTIONS, "communicator": "ssm"}, replace(INPUTS, modern=True)),
    "sandbox-1.6": (
        {"ssh_username": "root", "ssh_interface": "private_ip"},
        replace(INPUTS, endpoint="http://127.0.0.1:4566"),
    ),
    "fingerprint": (ALL_OPTIONS, stand_ins("ami-0123456789abcdef0")),
}
HOSTILE = ['v1"; rm -rf /', "${env.HOME}", "%{ if }", "a\nb", "☃", "$(id)", "'; id; '", '"\n}\nbuild {\n}\n']


@pytest.mark.parametrize("case", CASES)
def test_golden_templates(case: str, tmp_path: Path) -> None:
    bake, inputs = CASES[case]
    config = config_at(tmp_path, bake=bake)
    text = choose_template(config).render(config, inputs)
    golden = GOLDEN / f"{case}.pkr.hcl"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("case", [name for name, (_, inputs) in CASES.items() if inputs.modern])
def test_the_modern_form_is_hcl(case: str, tmp_path: Path) -> None:
    bake, inputs = CASES[case]
    config = config_at(tmp_path, bake=bake)
    choose_template(config).write(config, inputs, tmp_path / "out")
    for name in ("shipit.pkr.hcl", "plugins.pkr.hcl"):
        hcl2.loads((tmp_path / "out" / name).read_text())


@pytest.mark.skipif(shutil.which("packer") is None, reason="needs Packer")
@pytest.mark.parametrize("case", [name for name, (_, inputs) in CASES.items() if not inputs.modern])
def test_the_old_form_is_valid_for_packer(case: str, tmp_path: Path) -> None:
    bake, inputs = CASES[case]
    config = config_at(tmp_path, bake=bake)
    choose_template(config).write(config, inputs, tmp_path / "out")
    (tmp_path / "out" / "bundle.tar").touch()
    _validate(tmp_path / "out")


@pytest.mark.skipif(shutil.which("packer") is None, reason="needs Packer")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_version_stays_text_in_a_template_that_uses_it(name: str, tmp_path: Path) -> None:
    builtin = data_path("packer", "shipit.pkr.hcl.j2").read_text()
    own = builtin.replace('("baked by shipit for " ~ app)', "version.name")
    assert own != builtin
    (tmp_path / "own.pkr.hcl.j2").write_text(own)
    config = config_at(tmp_path, bake={"template": "own.pkr.hcl.j2"})
    choose_template(config).write(config, replace(INPUTS, version=Version(name, "0" * 40)), tmp_path / "out")
    (tmp_path / "out" / "bundle.tar").touch()
    _validate(tmp_path / "out")
    rendered = (tmp_path / "out" / "own.pkr.hcl").read_text()
    assert rendered.count("\n") == builtin_lines(config)


def builtin_lines(config: Any) -> int:
    """A hostile value must not add a line."""
    return Template(data_path("packer", "shipit.pkr.hcl.j2")).render(config, INPUTS).count("\n")


def test_a_hostile_setting_stays_text(tmp_path: Path) -> None:
    bake = {"instance_type": 't3.micro"\n}\nsource "x" "y" {', "instance_profile": "${env.HOME}"}
    config = config_at(tmp_path, bake=bake)
    text = choose_template(config).render(config, replace(INPUTS, modern=True))
    parsed = hcl2.loads(text)
    assert len(parsed["source"]) == 1
    assert "$${env.HOME}" in text


def test_the_projects_own_template_wins_over_the_built_in_one(tmp_path: Path) -> None:
    assert choose_template(config_at(tmp_path)).path == data_path("packer", "shipit.pkr.hcl.j2")
    (tmp_path / "packer").mkdir()
    (tmp_path / "packer/shipit.pkr.hcl.j2").write_text("# mine\n")
    assert choose_template(config_at(tmp_path)).path == tmp_path / "packer/shipit.pkr.hcl.j2"


def test_a_template_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no Packer template"):
        choose_template(config_at(tmp_path, bake={"template": "nowhere.pkr.hcl.j2"}))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# one\nami = {{ no_such_name | hcl }}\n", 2),
        ("# one\n# two\nami = {{ version.name }}\n", 3),
        ("{% if modern %}\n", 1),
        ("\nami = {{ bad | hcl }}\n", 2),
    ],
    ids=["undefined", "unquoted", "syntax", "refused"],
)
def test_an_error_in_a_template_comes_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "own.pkr.hcl.j2"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        render_text(path, {"version": Version("v1"), "bad": "{{ env }}", "modern": True})
    assert f"own.pkr.hcl.j2:{line}:" in caught.value.what


def test_own_scripts_go_along_and_replace_built_in_ones(tmp_path: Path) -> None:
    (tmp_path / "packer/scripts").mkdir(parents=True)
    (tmp_path / "packer/shipit.pkr.hcl.j2").write_text("# mine\n")
    (tmp_path / "packer/scripts/extra.sh").write_text("true\n")
    (tmp_path / "packer/secret.txt").write_text("not uploaded\n")
    config = config_at(tmp_path)
    template = choose_template(config)
    assert set(template.files()) == {"scripts/provision.sh", "scripts/extra.sh"}
    template.write(config, replace(INPUTS, modern=True), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        PLUGINS.removesuffix(".j2"),
        "scripts",
        "shipit.pkr.hcl",
    ]


def _validate(folder: Path) -> None:
    environ = {**os.environ, "CHECKPOINT_DISABLE": "1", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    result = subprocess.run(
        ["packer", "validate", "-syntax-only", "."],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
