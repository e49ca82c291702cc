"""What is wrong in shipit.yml is told with file, line, column, key and what was expected."""

from __future__ import annotations

import pytest

from tests.cli.shell import GOOD, LISTENER, Shell, shell

__all__ = ["shell"]

WRONG: dict[str, tuple[str, tuple[str, ...]]] = {
    "unknown key": ("app: hello\nfleeet: {}\n", ("shipit.yml:2:1", "fleeet", "did you mean `fleet`?")),
    "unknown key below": ("app: hello\nfleet:\n  sise: 2\n", ("shipit.yml:3:3", "fleet.sise", "`size`")),
    "wrong type": ("app: hello\nfleet:\n  size: many\n", ("shipit.yml:3:3", "fleet.size", "whole number", "'many'")),
    "out of range": ("app: hello\nfleet:\n  size: 0\n", ("shipit.yml:3:3", "fleet.size", "got 0")),
    "bad schedule": (
        "app: hello\ntraffic:\n  schedule: 5%\n",
        ("shipit.yml:3:3", "traffic.schedule", "the last stage must be 100%"),
    ),
    "bad listener": ("app: hello\ntraffic:\n  listener: lb\n", ("shipit.yml:3:3", "traffic.listener")),
    "duplicate key": ("app: hello\nregion: eu-west-1\napp: other\n", ("shipit.yml:3:1", "app")),
    "no app": ("region: eu-west-1\n", ("shipit.yml", "app is missing", "hello")),
    "bad app": ("app: Hello World\n", ("shipit.yml:1:1", "app", "Hello World")),
    "not YAML": ("app: [hello\n", ("shipit.yml:", "not valid YAML")),
    "tabs": ("app: hello\nfleet:\n\tsize: 2\n", ("shipit.yml:3:1", "not valid YAML")),
    "not a mapping": ("- app\n", ("shipit.yml:1:1", "app: hello")),
    "a scalar": ("hello\n", ("shipit.yml:1:1", "app: hello")),
    "empty": ("", ("shipit.yml:1:1", "app: hello")),
    "two documents": ("app: hello\n---\napp: other\n", ("shipit.yml:", "not valid YAML")),
    "a section that is a list": ("app: hello\nfleet: [1]\n", ("shipit.yml:2:1", "fleet")),
    "a section that is a word": ("app: hello\nhealth: good\n", ("shipit.yml:2:1", "health", "'good'")),
    "sizes out of order": ("app: hello\nfleet: {size: 5, max_size: 2}\n", ("shipit.yml:2", "sizes must be in order")),
    "timeout too long": (
        "app: hello\nhealth: {interval_seconds: 5, timeout_seconds: 9}\n",
        ("shipit.yml:2", "must be less than"),
    ),
    "account as a number": ("app: hello\naccount: 123456789012\n", ("shipit.yml:2:1", "account", "123456789012")),
    "environments is a list": ("app: hello\nenvironments: [live]\n", ("shipit.yml:2:1", "environments")),
    "environment is a word": ("app: hello\nenvironments:\n  live: on\n", ("shipit.yml:3:3", "environments.live")),
    "wrong in another environment": (
        "app: hello\nenvironments:\n  live: {}\n  test:\n    fleet:\n      size: no\n",
        ("shipit.yml:6:7", "fleet.size"),
    ),
    "two complaints": (
        "app: hello\nfleet:\n  size: no\n  prot: 1\n",
        ("shipit.yml:3:3", "shipit.yml:4:3", "`port`"),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_told_with_its_place(shell: Shell, name: str) -> None:
    text, expected = WRONG[name]
    shell.write(text)
    said = shell.run("status", *(["--env", "live"] if name == "wrong in another environment" else []))
    assert said.code == 2, said.all
    for part in expected:
        assert part in said.err
    assert shell.knocks == []


def test_an_unknown_environment_is_told_with_those_that_exist(shell: Shell) -> None:
    shell.write(GOOD + "environments:\n  staging: {}\n  live: {}\n")
    said = shell.run("status", "--env", "nowhere")
    assert said.code == 2
    assert "no environment 'nowhere'" in said.err
    assert "staging, live" in said.err
    assert "shipit.yml:10:1" in said.err


def test_of_several_environments_one_must_be_chosen(shell: Shell) -> None:
    shell.write(GOOD + "environments:\n  staging: {}\n  live: {}\n")
    said = shell.run("status")
    assert said.code == 2
    assert "staging, live" in said.err
    assert "--env NAME" in said.err


def test_the_environment_may_come_from_the_environment(shell: Shell) -> None:
    shell.write(GOOD + "environments:\n  staging: {}\n  live: {traffic: {listener: null}}\n")
    shell.monkeypatch.setenv("SHIPIT_ENV", "live")
    assert "names no listener" in shell.run("status").err


def test_the_sandbox_that_is_not_up_is_told(shell: Shell) -> None:
    shell.monkeypatch.setenv("SHIPIT_SANDBOX", "not-up")
    said = shell.run("status", "--env", "sandbox")
    assert said.code == 2
    assert "the sandbox is not running" in said.err
    assert "shipit sandbox up" in said.err


def test_anchors_and_merges_of_yaml_may_be_used(shell: Shell) -> None:
    text = f"app: hello\nenvironments:\n  a: &a\n    traffic: {{listener: '{LISTENER}'}}\n  b:\n    <<: *a\n    region: x\n"
    shell.write(text)
    said = shell.run("status", "--env", "b")
    assert said.code == 2
    assert "region" in said.err
    assert "listener" not in said.err
