"""Every command with every wrong value of its flags: told in words, with the exit code of a usage error, AWS untouched."""

from __future__ import annotations

import pytest

from tests.cli.shell import Shell, shell

__all__ = ["shell"]

IMAGE = "ami-0123456789abcdef0"
WRONG: dict[str, tuple[str, ...]] = {
    # typed words -> what the answer must name
    "": ("Usage", "release"),
    "releaze v1": ("releaze",),
    "--verison": ("--verison",),
    "release": ("give a version or --image", "neither is given", "shipit release v42"),
    "release v1 v2": ("v2",),
    f"release v1 --image {IMAGE}": ("give a version or --image", "both are given"),
    "release v1 --canary 5%": ("the last stage must be 100%", "5% 30s, 25% 1m, 100%"),
    "release v1 --canary 101%": ("at most 100%",),
    "release v1 --canary nonsense": ("nonsense", "a stage is a share"),
    "release v1 --canary 5%_10m_by_eror,100%": ("no gate 'eror'", "shipit.yml has no gates"),
    "plan v1 --canary 5%_by_eror_manual,100%": ("no gate 'eror'",),
    "release v1 --canary 50%,25%,100%": ("shares must grow",),
    "release v1 --canary": ("--canary",),
    "release v1 --output xml": ("xml", "json"),
    "release v1 -o": ("-o",),
    "release v1 --env nowhere": ("nowhere",),
    "release v1 --env": ("--env",),
    "release v1 --config missing.yml": ("missing.yml", "shipit init"),
    "release v1 --config .": ("cannot be read",),
    "release v1 --percent 5": ("--percent",),
    "release v1 --yes": ("--yes",),
    "stage": ("give a version or --image", "shipit stage v42"),
    f"stage v1 --image {IMAGE}": ("both are given",),
    "stage v1 --canary 5%": ("--canary",),
    "stage v1 --output yaml": ("yaml",),
    "stage v1 --config missing.yml": ("missing.yml",),
    "rollback v1": ("v1",),
    "rollback --to": ("--to",),
    "rollback --output csv": ("csv",),
    "rollback --config missing.yml": ("missing.yml",),
    "rollback --env nowhere": ("nowhere",),
    "rollback --yes": ("--yes",),
    "retire": ("Give up the instant way back?", "--yes"),
    "retire v1": ("v1",),
    "retire --output html --yes": ("html",),
    "retire --config missing.yml --yes": ("missing.yml",),
    "gc extra": ("extra",),
    "gc --keep-images 0": ("--keep-images", "1"),
    "gc --keep-images all": ("all",),
    "gc --output list": ("list",),
    "gc --env nowhere": ("nowhere",),
    "gc --config missing.yml": ("missing.yml",),
    "doctor extra": ("extra",),
    "doctor --output list": ("list",),
    "doctor --env nowhere": ("nowhere",),
    "doctor --config missing.yml": ("missing.yml",),
    "doctor --yes": ("--yes",),
    "plan v1 v2": ("v2",),
    "plan v1 --output text": ("text",),
    "plan v1 --config missing.yml": ("missing.yml",),
    "plan v1 --env nowhere": ("nowhere",),
    "bake": ("argument",),
    "bake v1 v2": ("v2",),
    "bake v1 --output tap": ("tap",),
    "bake v1 --config missing.yml": ("missing.yml",),
    "bake v1 --env nowhere": ("nowhere",),
    "bake v1 --canary 100%": ("--canary",),
    "init missing-folder": ("missing-folder", "mkdir"),
    "init . other": ("other",),
    "init .": ("shipit.yml exists already", "rm "),
    "init --app": ("--app",),
    "status extra": ("extra",),
    "status --output table": ("table",),
    "status --env nowhere": ("nowhere",),
    "status --config missing.yml": ("missing.yml",),
    "status --watch=maybe": ("--watch",),
    "history --limit 0": ("--limit", "1"),
    "history --limit 1001": ("--limit", "1000"),
    "history --limit many": ("many",),
    "history --limit 1.5": ("1.5",),
    "history --output long": ("long",),
    "history --env nowhere": ("nowhere",),
    "logs i-1 i-2": ("i-2",),
    "logs --env nowhere": ("nowhere",),
    "logs --config missing.yml": ("missing.yml",),
    "sandbox": ("Usage", "up"),
    "sandbox sideways": ("sideways",),
    "sandbox up --port 70000": ("--port", "65535"),
    "sandbox up --port -1": ("--port",),
    "sandbox up --port http": ("http",),
    "sandbox up --front-port 70000": ("--front-port",),
    "sandbox up --name NO": ("NO", "lower case"),
    "sandbox down --name ../etc": ("../etc",),
    "sandbox down extra": ("extra",),
    "sandbox load --rate 0": ("--rate",),
    "sandbox load --rate fast": ("fast",),
    "sandbox load --seconds 0": ("--seconds",),
    "sandbox load --path nowhere": ("nowhere", "--path /healthz"),
    "sandbox load --header nonsense": ("nonsense", "Name: value"),
}
SEVERAL = "\nenvironments: {staging: {}, live: {}}\n"


def cases() -> list[object]:
    return [pytest.param(line, names, id=line or "nothing") for line, names in WRONG.items()]


def words(line: str) -> list[str]:
    """The words of a line; `_` stands for a blank inside a word, and a line that ends with a blank has an empty word."""
    return [word.replace("_", " ") for word in line.split(" ")] if line else []


@pytest.mark.parametrize(("line", "names"), cases())
def test_a_wrong_line_is_a_usage_error_that_touches_nothing(shell: Shell, line: str, names: tuple[str, ...]) -> None:
    if "--env nowhere" in line:
        shell.write((shell.folder / "shipit.yml").read_text() + SEVERAL)
    shell.monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: PTH123, SIM115 - as in CI: no terminal
    said = shell.run(*words(line))
    assert said.code in (2, 5), said.all
    assert "Traceback" not in said.all
    assert "bug in shipit" not in said.all
    for name in names:
        assert name in said.all
    assert shell.knocks == []
    assert sorted(path.name for path in shell.folder.iterdir()) == [".git", "shipit.yml"]


@pytest.mark.parametrize(
    "line", [line for line, names in WRONG.items() if line.startswith("release") and len(names) > 2]
)
def test_an_error_of_ours_has_three_parts(shell: Shell, line: str) -> None:
    said = shell.run(*words(line))
    assert said.err.startswith("error: ")
    assert "\n  why:  " in said.err
    assert "\n  next: " in said.err
    assert said.out == ""


@pytest.mark.parametrize("line", ["release --image ", "plan", "plan --canary 7", "plan v1 --canary 7"])
def test_what_is_wrong_on_the_line_is_told_before_aws_is_asked(shell: Shell, line: str) -> None:
    said = shell.run(*words(line))
    assert said.code == 2
    assert shell.knocks == []


@pytest.mark.parametrize("command", ["status", "env", "load"])
def test_a_sandbox_that_is_not_up_is_a_usage_error_everywhere(shell: Shell, command: str) -> None:
    said = shell.run("sandbox", command, "--name", "not-up")
    assert "sandbox up" in said.err
    assert said.code == 2


def test_a_plan_of_a_version_and_an_image_is_refused(shell: Shell) -> None:
    said = shell.run("plan", "v1", "--image", IMAGE)
    assert said.code == 2
    assert shell.knocks == []


def test_an_environment_that_is_misspelled_is_refused_in_a_file_without_environments(shell: Shell) -> None:
    said = shell.run("status", "--env", "prodcution")
    assert said.code == 2
    assert shell.knocks == []


@pytest.mark.parametrize("name", ["Not A Name", "9lives", "x" * 40, "a: b", ""])
def test_init_writes_no_file_that_it_would_not_read(shell: Shell, name: str) -> None:
    (shell.folder / "shipit.yml").unlink()
    said = shell.run("init", "--app", name)
    assert said.code == 2


@pytest.mark.parametrize("folder", ["2048", "日本", "x" * 40, "My App"])
def test_init_in_any_folder_writes_what_can_be_read_or_says_why_not(shell: Shell, folder: str) -> None:
    from shipit.config import load_config

    (shell.folder / folder).mkdir()
    said = shell.run("init", folder)
    assert said.code == 2 or load_config(shell.folder / folder / "shipit.yml").app


def test_init_writes_a_file_that_can_be_read(shell: Shell) -> None:
    from shipit.config import load_config

    (shell.folder / "shipit.yml").unlink()
    said = shell.run("init", "--app", "shop")
    assert said.code == 0
    assert load_config(shell.folder / "shipit.yml").app == "shop"


def test_outside_of_any_project_it_says_how_to_begin(shell: Shell) -> None:
    (shell.folder / "shipit.yml").unlink()
    said = shell.run("status")
    assert said.code == 2
    assert "shipit init" in said.err


def test_a_listener_that_is_not_set_is_named(shell: Shell) -> None:
    shell.write("app: hello\nregion: eu-west-1\n")
    said = shell.run("status")
    assert said.code == 2
    assert "traffic.listener" in said.err
    assert shell.knocks == []


def test_a_bug_of_ours_is_told_without_a_traceback(shell: Shell) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("x")

    shell.monkeypatch.setattr("shipit.wiring.open_shop", broken)
    said = shell.run("status")
    assert said.code == 1
    assert "this is a bug in shipit" in said.err
    assert "SHIPIT_DEBUG=1" in said.err
    assert "Traceback" not in said.err
