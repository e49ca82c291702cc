"""What settings take and refuse: limits, rules between keys, and what is left when nothing is said."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from bench.configuration import keys
from shipit.settings import Settings

LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/web/50dc6c495c0c9188/f2f7dc8efc522ab2"
RULE = LISTENER.replace(":listener/", ":listener-rule/") + "/9683b2d02a6cabee"


def settings(path: str, value: object) -> Settings:
    """Settings in which one key has that value."""
    for name in reversed(path.split(".")):
        value = {name: value}
    assert isinstance(value, dict)
    return Settings.model_validate({"app": "hello", **value})


def sections(section: type[BaseModel] = Settings) -> list[type[BaseModel]]:
    kinds = [field.annotation for field in section.model_fields.values()]
    below = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return [section, *(found for kind in below for found in sections(kind))]


def test_an_app_is_enough() -> None:
    made = Settings.model_validate({"app": "hello"})
    assert (made.fleet.size, made.traffic.schedule, made.record, made.health.percent) == (2, "100%", "shipit", 100)


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.__name__)
def test_every_section_refuses_unknown_keys_and_cannot_be_changed(section: type[BaseModel]) -> None:
    assert section.model_config["extra"] == "forbid"
    assert section.model_config["frozen"]


@pytest.mark.parametrize(("path", "field"), list(keys()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_setting_says_what_it_means(path: str, field: Any) -> None:
    assert field.description
    assert field.description.endswith(".")


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        ("app", ["a", "hello-2", "a" * 31], ["", "A", "2go", "-a", "a_b", "a.b", "a" * 32, "häuser", "a\nb", None, 3]),
        ("region", ["eu-west-1", "us-gov-west-1", "ap-southeast-5", None], ["eu", "EU-WEST-1", "eu-west", ""]),
        ("account", ["123456789012", None], ["12345678901", "1234567890123", 123456789012, "a" * 12]),
        ("record", ["abc", "none", "my.table_1-x"], ["ab", "a b c", "a" * 256]),
        ("bake.source_image", [{"id": "ami-12ab"}, {"name": "x*", "owners": ["self"]}], [{}, None, "ami-12ab"]),
        ("bake.communicator", ["ssh", "ssm"], ["telnet", "", None]),
        ("bake.ssh_username", ["admin", "_x", "ec2-user"], ["", "Admin", "a b", "-a", "a;b"]),
        ("bake.subnet", ["subnet-0a1b", None], ["subnet-", "subnet-XY", "sg-0a1b", "subnet-0a1b;x"]),
        ("bake.security_groups", [[], ["sg-1", "sg-2"]], ["sg-1", ["sg-"], [1], {"sg-1": 1}]),
        ("bake.variables", [{}, {"A_1": "x y"}], [{"1A": "x"}, {"A-B": "x"}, {"A": 1}, ["A=1"]]),
        ("bake.folder", ["/srv/app", "/a"], ["srv/app", "", "/srv/my app", "/srv/$x"]),
        ("bake.timeout_minutes", [0.1, 30, 1440], [0, -1, 1441, float("nan"), float("inf"), "soon"]),
        ("run.user", ["www-data", "root"], ["", "WWW", "a b", "a\nb"]),
        ("fleet.size", [1, 1000], [0, -1, 1001, 2.5, "two", None, [2]]),
        ("fleet.port", [1, 80, 65535], [0, 65536, -1, "http"]),
        ("fleet.grace_seconds", [0, 7200], [-1, 7201]),
        ("health.path", ["/", "/a?b=c"], ["", "healthz", "/a b", "http://x/"]),
        ("health.codes", ["200", "200-299", "200,302", "200-204,301"], ["", "20", "2xx", "200-", "200, 302", "200;x"]),
        ("health.interval_seconds", [5, 300], [4, 301]),
        ("health.timeout_seconds", [2, 4], [1, 5, 6]),
        ("health.healthy_threshold", [2, 10], [1, 11]),
        ("health.percent", [0.5, 100], [0, 100.1, -1]),
        ("traffic.listener", [LISTENER, None], ["", "arn:aws:s3:::x", LISTENER.replace("app/", "net/"), RULE]),
        ("traffic.rule", [RULE, None], [LISTENER, "rule"]),
        ("traffic.schedule", ["100%", "5% 30s, 25% 1m, 100%", "0.1% 1h,100%"], ["", "5%", "50%, 20%, 100%", "5 %x"]),
        ("traffic.drain_seconds", [0, 3600], [-1, 3601]),
        ("rollback.keep_minutes", [0, 40320], [-1, 40321]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_setting_takes_and_what_it_refuses(path: str, good: list[object], bad: list[object]) -> None:
    for value in good:
        settings(path, value)
    for value in bad:
        with pytest.raises(ValidationError) as refused:
            settings(path, value)
        assert refused.value.errors()[0]["loc"][0] == path.split(".")[0], value


@pytest.mark.parametrize(
    ("section", "says"),
    [
        pytest.param({"fleet": {"min_size": 3, "size": 2}}, "min_size 3 <= size 2", id="minimum above size"),
        pytest.param({"fleet": {"size": 5, "max_size": 4}}, "size 5 <= max_size 4", id="size above maximum"),
        pytest.param(
            {"health": {"interval_seconds": 5, "timeout_seconds": 5}}, "less than", id="timeout is the interval"
        ),
        pytest.param(
            {"bake": {"source_image": {"id": "ami-1", "name": "x", "owners": ["self"]}}},
            "either",
            id="image named twice",
        ),
        pytest.param({"bake": {"source_image": {"architecture": "arm64"}}}, "either", id="image not named"),
        pytest.param({"bake": {"source_image": {"name": "x"}}}, "anybody can publish", id="image of anybody"),
    ],
)
def test_rules_between_keys(section: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Settings.model_validate({"app": "hello", **section})


def test_sizes_follow_from_each_other() -> None:
    assert settings("fleet.min_size", 0).fleet.size == 2
    assert settings("fleet.size", 1000).fleet.max_size is None


def test_space_around_a_value_is_no_part_of_it() -> None:
    assert settings("run.command", "  /bin/app  ").run.command == "/bin/app"


def test_true_is_no_number() -> None:
    with pytest.raises(ValidationError):
        settings("fleet.size", True)


@pytest.mark.parametrize("name", ["errors", "home"])
def test_two_gates_cannot_have_the_same_name(name: str) -> None:
    probes = {"home": {"url": "http://x/"}}
    gates = {"errors": {}, "probe": probes, "command": {name: {"run": "true"}}}
    with pytest.raises(ValidationError, match=f"two gates are called {name}"):
        settings("gates", gates)
