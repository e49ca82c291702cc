"""shipit.yml: found, overlaid, and refused with place, key, what was expected and an example; never with a traceback."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from ruamel.yaml import YAML

from shipit.config import Config, find_config, load_config
from shipit.errors import UsageError
from shipit.setup import write_config

FUZZ = effort(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FAST_ENOUGH_SECONDS = 2.0
LONG_ENOUGH_CHARACTERS = 20_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    return tmp_path


def load(folder: Path, text: str | bytes, env: str | None = None, builtin: Mapping[str, Any] | None = None) -> Config:
    path = folder / "shipit.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(path, env, builtin)


def refusal(folder: Path, text: str | bytes, env: str | None = None) -> str:
    with pytest.raises(UsageError) as refused:
        load(folder, text, env)
    assert refused.value.exit_code == 2
    return str(refused.value)


# Found


def test_the_nearest_file_upwards_is_found(folder: Path) -> None:
    below = folder / "a" / "b"
    below.mkdir(parents=True)
    (folder / "shipit.yml").touch()
    assert find_config(below) == folder / "shipit.yml"
    (folder / "a" / "shipit.yml").touch()
    assert find_config(below) == folder / "a" / "shipit.yml"


def test_no_file_above_the_repository_is_found(tmp_path: Path) -> None:
    inside = tmp_path / "repository" / "src"
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    inside.mkdir()
    (tmp_path / "shipit.yml").touch()
    with pytest.raises(UsageError, match="shipit init"):
        try:
            find_config(inside)
        except UsageError as error:
            raise UsageError(error.next) from error


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        load_config(tmp_path / "shipit.yml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_config(tmp_path)


# Environments

OVERLAID = """
app: hello
fleet: {size: 2, port: 9000, subnets: [subnet-1, subnet-2]}
environments:
  staging:
  production:
    fleet: {size: 6, subnets: [subnet-3]}
"""


@pytest.mark.parametrize(
    ("env", "size", "subnets"), [("staging", 2, ("subnet-1", "subnet-2")), ("production", 6, ("subnet-3",))]
)
def test_an_environment_is_laid_over_the_rest_and_lists_are_replaced(
    folder: Path, env: str, size: int, subnets: tuple[str, ...]
) -> None:
    made = load(folder, OVERLAID, env)
    assert (made.env, made.app) == (env, "hello")
    assert (made.settings.fleet.size, made.settings.fleet.port, made.settings.fleet.subnets) == (size, 9000, subnets)


@pytest.mark.parametrize(
    ("text", "env"),
    [
        pytest.param("app: a", "production", id="none in the file"),
        pytest.param("app: a\nenvironments:", "production", id="an empty list of them"),
        pytest.param("app: a\nenvironments: {live: {}}", "live", id="the only one"),
        pytest.param("app: a\nenvironments: {live: }", "live", id="the only one, without settings"),
    ],
)
def test_without_a_choice_it_is_the_only_environment(folder: Path, text: str, env: str) -> None:
    assert load(folder, text).env == env


def test_among_several_one_must_be_chosen(folder: Path) -> None:
    said = refusal(folder, OVERLAID)
    assert "staging, production" in said
    assert "--env NAME" in said


def test_an_environment_that_is_not_there_is_refused_with_those_that_are(folder: Path) -> None:
    said = refusal(folder, OVERLAID, "prod")
    assert re.search(r"shipit\.yml:4:1: there is no environment 'prod'\n.*staging, production", said)


def test_a_builtin_environment_needs_no_entry_and_an_entry_is_laid_over_it(folder: Path) -> None:
    builtin = {"sandbox": {"fleet": {"port": 1, "size": 3}}}
    assert load(folder, OVERLAID, "sandbox", builtin).settings.fleet.port == 1
    own = OVERLAID + "  sandbox: {fleet: {port: 5}}\n"
    fleet = load(folder, own, "sandbox", builtin).settings.fleet
    assert (fleet.port, fleet.size) == (5, 3)


def test_every_environment_is_checked_whichever_is_chosen(folder: Path) -> None:
    said = refusal(folder, OVERLAID.replace("size: 6", "size: 0"), "staging")
    assert said.startswith("shipit.yml:7:13: fleet.size:")


def test_the_app_may_be_named_by_the_environment(folder: Path) -> None:
    assert load(folder, "environments: {live: {app: b}}").app == "b"


def test_null_takes_a_key_of_the_base_back(folder: Path) -> None:
    text = """
app: a
bake: {source_image: {name: x, owners: [self]}}
environments: {live: {bake: {source_image: {id: ami-1, name: null}}}}
"""
    assert load(folder, text).settings.bake.source_image.id == "ami-1"


# The shape of wiring.sandbox_settings.
SANDBOX = {"sandbox": {"bake": {"source_image": {"id": "ami-0000000000deb1a12", "name": None, "owners": []}}}}


def test_what_init_writes_can_be_released_to_the_sandbox(folder: Path) -> None:
    template = (Path(__file__).parents[1] / "templates" / "init.yml").read_text()
    load(folder, template.replace("APP_NAME", "hello"), "sandbox", SANDBOX)


def test_an_app_with_a_source_image_can_be_released_to_the_sandbox(folder: Path) -> None:
    load(folder, "app: a\nbake: {source_image: {name: x, owners: [self]}}", "sandbox", SANDBOX)


@pytest.mark.parametrize("name", ["hello", "My App", "häuser"])
def test_what_init_writes_is_valid(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    load_config(write_config(folder / name, None))


@pytest.mark.parametrize("name", ["123", "---", "a-very-long-name-of-a-folder-indeed"])
def test_what_init_writes_is_valid_in_a_folder_of_any_name(folder: Path, name: str) -> None:
    (folder / name).mkdir()
    load_config(write_config(folder / name, None))


def test_init_refuses_a_name_that_no_app_can_have(folder: Path) -> None:
    with pytest.raises(UsageError):
        write_config(folder, "Bad: name")


# Complaints: place, key, what was expected, an example


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "shipit.yml:1:1: expected keys such as `app: hello`", id="empty"),
        pytest.param("- a\n- b", "shipit.yml:1:1: expected keys", id="a list"),
        pytest.param("hello", "shipit.yml:1:1: expected keys", id="a word"),
        pytest.param("app: a\n  region: x", "shipit.yml:2:9: not valid YAML", id="bad indentation"),
        pytest.param("app: a\nfleet:\n\tsize: 2", "shipit.yml:3:1: not valid YAML", id="a tab"),
        pytest.param("app: a\nrun: {command: 'x}", "not valid YAML", id="an open quote"),
        pytest.param("app: a\napp: b", 'shipit.yml:2:1: not valid YAML.*duplicate key "app"', id="a key twice"),
        pytest.param("app: a\nfleet:\n  size: 2\n  size: 3", 'shipit.yml:4:3: .*duplicate key "size"', id="a deep key twice"),
        pytest.param("app: a\n---\napp: b", "shipit.yml:2:1: not valid YAML.*another document", id="two documents"),
        pytest.param("app: *x", "shipit.yml:1:6: not valid YAML.*undefined alias", id="an unknown alias"),
        pytest.param('app: "\x01"', "not valid YAML", id="a control character"),
        pytest.param(b"app: \xff\xfe", "cannot be read", id="not UTF-8"),
        pytest.param("region: eu-west-1", r"shipit.yml:1:1: app is missing: .*, for example: hello", id="no app"),
        pytest.param("app: Hello", r"shipit.yml:1:1: app: .*\(got 'Hello'\), for example: hello", id="a bad name"),
        pytest.param("app: a\nflet: {}", "shipit.yml:2:1: flet: unknown key; did you mean `fleet`", id="a misspelt section"),
        pytest.param("app: a\nxyz: {}", "shipit.yml:2:1: xyz: unknown key; known here: app, region", id="an unknown section"),
        pytest.param("app: a\nfleet:\n  prot: 80", "shipit.yml:3:3: fleet.prot: unknown key; did you mean `port`", id="a misspelt key"),
        pytest.param("app: a\nbake: {source_image: {ids: x}}", "bake.source_image.ids: unknown key; did you mean `id`", id="deeper"),
        pytest.param("app: a\nfleet:\n  size: 0", r"shipit.yml:3:3: fleet.size: .*1 \(got 0\)", id="too small"),
        pytest.param("app: a\nfleet: {subnets: [subnet-1, x]}", r"shipit.yml:2:29: fleet.subnets.1: .*\(got 'x'\)", id="in a list"),
        pytest.param("app: a\nrun: {environment: {A B: x}}", r"2:21: run.environment.A B", id="a name of a variable"),
        pytest.param("app: a\ntraffic: {schedule: 5% 30s}", r"2:11: traffic.schedule: the last.*example: 5% 30s", id="a schedule"),
        pytest.param(
            "app: a\ngates: {errors: {}}\ntraffic: {schedule: '5% 10m by eror, 100%'}",
            "shipit.yml:3:11: traffic.schedule: there is no gate 'eror'.*there are errors",
            id="a gate that nobody has",
        ),
        pytest.param("app: a\nhealth: {timeout_seconds: 5}", "shipit.yml:2:1: health: timeout_seconds 5 must be less", id="two keys"),
        pytest.param("app: a\n1: 2", "shipit.yml:2:1: 1: ", id="a number as key"),
        pytest.param("app: a\nenvironments: [p]", "shipit.yml:2:1: environments: expected a name", id="a list of environments"),
        pytest.param("app: a\nenvironments: {p: 3}", "2:16: environments.p: expected settings", id="an environment of one number"),
        pytest.param("app: a\nenvironments: {p: {fleet: {size: 0}}}", r"shipit.yml:2:28: fleet.size", id="in an environment"),
        pytest.param("app: a\nenvironments: {p: {environments: {}}}", r"2:20: environments: unknown key", id="an environment in one"),
        pytest.param("app: a\nfleet: {size: .nan}", "fleet.size", id="not a number"),
        pytest.param(f"app: a\nfleet: {{size: {'9' * 5000}}}", "not valid YAML", id="a huge number"),
        pytest.param("app: a\nfleet: !!set {size}", "2:1: fleet", id="a set"),
        pytest.param("app: !!python/object:os.system x", "1:1: app", id="a Python object"),
        pytest.param("app: a\nfleet: &f {size: *f}", "fleet.size", id="a key that contains itself"),
    ],
)  # fmt: skip
def test_a_complaint_says_where_and_what(folder: Path, text: str | bytes, says: str) -> None:
    assert re.search(says, refusal(folder, text), re.DOTALL)


def test_all_complaints_are_shown_at_once(folder: Path) -> None:
    said = refusal(folder, "app: A\nregion: 3\nfleet: {size: 0, prot: 3}")
    assert [line.split(": ")[1] for line in said.splitlines() if line[:11] == "shipit.yml:"] == [
        "app",
        "region",
        "fleet.size",
        "fleet.prot",
    ]
    assert said.endswith("docs/configuration.md lists every key")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("app: a\nfleet:\n", "fleet: nothing stands below it", id="an empty section"),
        pytest.param("app: a\nfleet: {subnets: subnet-1}", r"fleet.subnets: .*list", id="a list is no tuple"),
        pytest.param("app: a\naccount: 123456789012", r"account: .*quotes", id="a number in place of text"),
        pytest.param(
            "app: a\nrun: {environment: {PORT: 8080}}", r"run.environment.PORT: .*quotes", id="a number as variable"
        ),
        pytest.param("app: A", r"app: .*letters", id="a pattern is no sentence"),
        pytest.param(
            "app: a\ngates: {errors: }", r"gates.errors: nothing stands below it; \{\}", id="a gate of nothing"
        ),
        pytest.param(
            "app: a\ngates: {probe: {url: https://x/}}", r"gates.probe.url: .*a name, and below it keys", id="no name"
        ),
        pytest.param(
            "app: a\ngates: {probe: {Home: {url: https://x/}}}", "gates.probe.Home: .*letters", id="a bad name"
        ),
        pytest.param("app: a\ngates: {probe: {home: {url: shop/}}}", "probe.home.url: expected a URL", id="no scheme"),
        pytest.param("app: a\ngates: {period_seconds: 45}", "gates.period_seconds: .*whole minutes", id="a period"),
        pytest.param("app: a\nhooks: {before_bake: [a]}", "hooks.before_bake: expected one text", id="a list as text"),
        pytest.param("app: a\nhooks: {before_traffic: ''}", "hooks.before_traffic: ", id="a hook of nothing"),
    ],
)
def test_a_complaint_is_in_words_of_yaml(folder: Path, text: str, says: str) -> None:
    said = refusal(folder, text)
    assert not re.search(r"instance of|tuple|dictionary|pattern", said)
    assert re.search(says, said)


def test_a_complaint_on_the_base_points_at_the_base(folder: Path) -> None:
    said = refusal(folder, "app: a\nfleet:\n  port: 0\nenvironments:\n  p:\n    fleet:\n      size: 3\n")
    assert said.startswith("shipit.yml:3:3: fleet.port")


def test_an_environment_with_a_number_as_name_has_its_place(folder: Path) -> None:
    assert refusal(folder, "app: a\nenvironments: {1: {fleet: {size: 0}}}").startswith("shipit.yml:2:28: fleet.size")


# Never a traceback, in bounded time


def test_a_file_that_contains_itself_is_refused(folder: Path) -> None:
    refusal(folder, "&r\napp: a\nfleet: *r\nenvironments: {p: {fleet: *r}}")


def test_a_small_file_makes_no_large_complaint(folder: Path) -> None:
    levels = [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 5)]
    bomb = "\n".join(["app: a", "x0: &x0 [l, l, l, l, l, l, l, l, l]", *levels, "fleet: {size: *x4}"])
    assert len(refusal(folder, bomb)) < LONG_ENOUGH_CHARACTERS


def check(folder: Path, text: str | bytes) -> None:
    """It loads, or it is refused in words, soon."""
    began = time.monotonic()
    try:
        load(folder, text)
    except UsageError as error:
        assert str(error).strip()
        assert "Traceback" not in str(error)
    assert time.monotonic() - began < FAST_ENOUGH_SECONDS


YAML_LETTERS = st.text("ab: -[]{}&*!|>'\"%#?,\n\t01~<\\", max_size=60)


@FUZZ
@given(text=st.one_of(st.binary(max_size=120), YAML_LETTERS, st.text(max_size=60)))
def test_any_bytes_load_or_are_refused(folder: Path, text: str | bytes) -> None:
    check(folder, text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.dates(), st.binary(max_size=4)
)
KEYS = st.one_of(
    st.sampled_from(["app", "region", "bake", "run", "fleet", "health", "traffic", "rollback", "environments", "size"]),
    st.text(max_size=6),
    st.integers(0, 3),
)
STRUCTURES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)


def dumped(value: object) -> str:
    text = StringIO()
    YAML(typ="safe", pure=True).dump(value, text)
    return text.getvalue()


@FUZZ
@given(value=st.dictionaries(KEYS, STRUCTURES, max_size=6))
def test_any_structure_loads_or_is_refused(folder: Path, value: dict[object, object]) -> None:
    check(folder, dumped(value))


WHOLE: dict[str, Any] = {
    "app": "hello",
    "region": "eu-west-1",
    "bake": {"source_image": {"id": "ami-1"}, "scripts": ["a.sh"], "variables": {"A": "b"}},
    "run": {"command": "/bin/app", "environment": {"A": "b"}},
    "fleet": {"size": 2, "subnets": ["subnet-1"]},
    "health": {"path": "/", "percent": 50},
    "traffic": {"schedule": "5% 1m, 100%"},
    "environments": {"live": {"fleet": {"size": 3}, "health": {"path": "/x"}}},
}


def paths(value: object, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [path for key, item in inside for path in paths(item, (*above, key))]
    return [above, *below] if above else below


def broken(value: Any, path: tuple[Any, ...], by: object) -> Any:
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = broken(copy[path[0]], path[1:], by)
    return copy


@FUZZ
@given(path=st.sampled_from(paths(WHOLE)), by=STRUCTURES)
def test_a_file_with_one_value_broken_loads_or_is_refused(folder: Path, path: tuple[Any, ...], by: object) -> None:
    check(folder, dumped(broken(WHOLE, path, by)))


def test_the_file_that_is_broken_above_is_valid(folder: Path) -> None:
    assert load(folder, dumped(WHOLE)).settings.fleet.size == 3
