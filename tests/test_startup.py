"""What a command pays before it does anything: imports. `shipit --help` must feel like nothing."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"boto3", "botocore", "urllib3", "jinja2", "pydantic", "ruamel", "tenacity", "moto", "asyncssh", "starlette"}
# `shipit --help` has about 330 today, most of them Typer's and Rich's.
MANY_MODULES = 450
PROBE = """
import contextlib, io, json, sys
from shipit.cli.main import main
sys.argv = ["shipit", *sys.argv[1:]]
with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
    main()
print(json.dumps({"modules": sorted(sys.modules), "said": out.getvalue()}))
"""


def probe(*words: str) -> dict[str, list[str]]:
    """The modules that are loaded, and what was printed, after that command in a fresh process."""
    done = subprocess.run([sys.executable, "-c", PROBE, *words], capture_output=True, text=True, check=True, timeout=60)
    answer: dict[str, list[str]] = json.loads(done.stdout)
    assert answer["said"]
    return answer


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shipit", *words], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    "words",
    [("--help",), ("--version",), ("release", "--help"), ("sandbox", "--help"), ("sandbox", "up", "--help")],
    ids=" ".join,
)
def test_asking_for_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    modules = probe(*words)["modules"]
    assert HEAVY & {name.partition(".")[0] for name in modules} == set()
    assert [name for name in modules if name.startswith("shipit.sandbox")] == []
    assert len(modules) < MANY_MODULES


def test_writing_a_config_speaks_to_no_cloud() -> None:
    modules = probe("init", "--help")["modules"]
    assert not {"boto3", "botocore"} & set(modules)


def test_python_m_shipit_is_the_command() -> None:
    done = run("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("shipit ")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(("--no-such-option",), 2, id="unknown option"),
        pytest.param(("no-such-command",), 2, id="unknown command"),
        pytest.param(("release",), 2, id="nothing to release"),
        pytest.param(("release", "v1", "--config", "/nowhere/shipit.yml"), 2, id="no such file"),
        pytest.param(("release", "v1", "--canary", "5%"), 2, id="a schedule that does not end"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_no_traceback(words: tuple[str, ...], code: int) -> None:
    done = run(*words)
    assert done.returncode == code
    assert done.stderr
    assert "Traceback" not in done.stderr
