"""What is installed is whole: the wheel, in an environment that does not know the checkout.

The environment has no package of its own but shipit: dependencies come from the one that runs the tests, by a `.pth` that
names its folder. Such a folder's own `.pth` files, an editable shipit among them, are not read (site.addsitedir alone does).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

# One worker builds it, once.
pytestmark = pytest.mark.xdist_group("wheel")
ROOT = Path(__file__).parents[1]
DATA = ("packer", "templates")
PROBE = """
import json, sys, shipit
from pathlib import Path
from shipit.bake.files import data_path
from shipit.bake.render import choose_template, render_text, stand_ins
from shipit.bake.user_data import render_user_data
from shipit.config import load_config
from shipit.model import Version
from shipit.ports import Launch
from shipit.sandbox import haproxy, machines, skeleton

config = load_config(Path("hello/shipit.yml"))
template = choose_template(config)
launch = Launch("hello-production-1a2b3c4d", Version("v1", "0" * 40), "ami-1", "digest", 2)
print(json.dumps({
    "package": shipit.__file__,
    "path": sys.path,
    "template": str(template.path),
    "beside": {name: str(path) for name, path in template.files().items()},
    "packer": template.render(config, stand_ins("ami-1")),
    "plugins": render_text(data_path("packer", "plugins.pkr.hcl.j2"), {}),
    "user_data": render_user_data(config, launch),
    "sandbox": sorted(str(path) for path in data_path("templates", "sandbox").rglob("*") if path.is_file()),
}))
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=False, symlinks=True)
    made = folder / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(made), "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*install, "--disable-pip-version-check", str(wheel)], check=True, timeout=120)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return made


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder that has nothing to do with the checkout, with a `hello` in it."""
    (tmp_path / "hello").mkdir()
    return tmp_path


def run(python: Path, folder: Path, *words: str) -> str:
    """`shipit …` as installed; what it printed."""
    return output(folder, str(python.parent / "shipit"), *words)


def output(folder: Path, *command: str) -> str:
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "SHIPIT_", "AWS_"))}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_installed_command_answers(python: Path, elsewhere: Path) -> None:
    assert run(python, elsewhere, "--version").startswith("shipit ")
    assert "release" in run(python, elsewhere, "--help")
    assert output(elsewhere, str(python), "-m", "shipit", "--version").startswith("shipit ")


def test_the_installed_init_writes_a_config_that_loads_and_a_template(python: Path, elsewhere: Path) -> None:
    run(python, elsewhere, "init", "hello")
    assert "app: hello" in (elsewhere / "hello" / "shipit.yml").read_text()
    run(python, elsewhere, "init", "--packer", "hello")
    copied = elsewhere / "hello" / "packer" / "shipit.pkr.hcl.j2"
    assert copied.read_text() == (ROOT / "packer" / "shipit.pkr.hcl.j2").read_text()


def test_everything_is_rendered_from_the_wheel_and_nothing_from_the_checkout(python: Path, elsewhere: Path) -> None:
    run(python, elsewhere, "init", "hello")
    seen = json.loads(output(elsewhere, str(python), "-c", PROBE))
    package = Path(seen["package"]).parent
    assert package.is_relative_to(python.parents[1])
    assert str(ROOT) not in seen["path"]
    for path in (seen["template"], *seen["beside"].values(), *seen["sandbox"]):
        assert Path(path).is_relative_to(package / "_data"), path
    assert "scripts/provision.sh" in seen["beside"]
    assert 'source "amazon-ebs" "image"' in seen["packer"]
    assert "required_plugins" in seen["plugins"]
    assert "SHIPIT_FLEET=hello-production-1a2b3c4d" in seen["user_data"]
    assert {Path(path).name for path in seen["sandbox"]} >= {"haproxy.cfg.j2", "route.lua", "systemctl", "sudo"}


def test_the_wheel_has_every_file_of_the_package_and_of_the_templates(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = {str(path.relative_to(ROOT)) for path in (ROOT / "shipit").rglob("*.py")}
    data = {
        f"shipit/_data/{path.relative_to(ROOT)}"
        for folder in DATA
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert package <= names
    assert data <= names
    assert [name for name in names if not name.startswith("shipit/")] == []
    assert [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".orig", "~"))] == []


def test_the_wheel_says_what_it_needs(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA"))).decode()
    assert "Requires-Dist: boto3" in metadata
    assert "Provides-Extra: sandbox" in metadata
    assert "# shipit" in metadata
    assert any(name.endswith("/licenses/LICENSE") for name in archive.namelist())
