"""The manual says what is true: its examples run, its lists are complete, its links lead somewhere."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import jsonschema
import pytest
import typer.main
from botocore import xform_name
from ruamel.yaml import YAML

from bench import configuration
from shipit import gates, naming
from shipit.care import Fate
from shipit.cli.care import doctor_document, gc_document
from shipit.cli.documents import plan_document
from shipit.cli.main import app
from shipit.config import load_config
from shipit.events import Ended, parse_event
from shipit.found import Finding, Health, Kind
from shipit.gates import kinds
from shipit.model import EXIT_CODES, Mood, Split, Version
from shipit.release.goal import Goal
from shipit.release.leftovers import Leftover
from shipit.release.plan import Plan
from shipit.release.steps import ShiftTraffic
from shipit.settings import Settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
BLOCK = re.compile(r"^```([^\n]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# boto3's name of a service -> IAM's.
SERVICES = {
    "autoscaling": "autoscaling",
    "cloudwatch": "cloudwatch",
    "dynamodb": "dynamodb",
    "ec2": "ec2",
    "elbv2": "elasticloadbalancing",
    "iam": "iam",
    "sts": "sts",
}


# What a gate must have, whatever else is set.
NEEDED_BY_GATES: dict[str, dict[str, Any]] = {
    "probe": {"url": "http://shop.example/"},
    "command": {"run": "true"},
    "threshold": {"metrics": {"m": {"namespace": "Shop", "name": "orders"}}, "above": 1},
}


def text_of(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def blocks(kind: str) -> list[Any]:
    """The fenced blocks of that kind in all pages."""
    found = [(page, *block) for page in PAGES for block in BLOCK.findall(page.read_text(encoding="utf-8"))]
    texts = [(page, text) for page, label, text in found if label == kind]
    return [pytest.param(text, id=f"{page.name}-{number}") for number, (page, text) in enumerate(texts)]


def example(label: str) -> Any:
    return json.loads(next(param.values[0] for param in blocks(label)))  # type: ignore[arg-type]


# Examples


@pytest.mark.parametrize("script", blocks("sh runnable"))
def test_a_runnable_example_runs(script: str, tmp_path: Path) -> None:
    here = str(Path(sys.executable).parent)
    environ = {**os.environ, "PATH": f"{here}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-eu", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", blocks("yaml"))
def test_an_example_of_shipit_yml_is_valid(text: str, tmp_path: Path) -> None:
    (tmp_path / "shipit.yml").write_text(text)
    names = list(YAML(typ="safe").load(text).get("environments") or [None])
    for name in names:
        load_config(tmp_path / "shipit.yml", name)
    jsonschema.validate(YAML(typ="safe", pure=True).load(text), json.loads(configuration.SCHEMA.read_text()))


def test_every_kind_of_event_has_an_example_that_can_be_read() -> None:
    lines = blocks("json-lines")[0].values[0].splitlines()  # type: ignore[union-attr]
    events = [parse_event(line) for line in lines]
    assert {event.kind for event in events} == set(re.findall(r"^\| `(\w+)` \|", text_of("json.md"), re.MULTILINE))
    assert all(set(json.loads(line)) == set(vars(event)) for line, event in zip(lines, events, strict=True))


def test_the_example_of_history_can_be_read() -> None:
    for document in example("json history"):
        event = parse_event(json.dumps(document))
        assert isinstance(event, Ended)
        assert set(document) == set(vars(event))


def test_the_example_of_a_plan_has_the_keys_of_a_plan() -> None:
    step = ShiftTraffic(Split({"hello-1": 100}), "hello-1")
    made = json.loads(plan_document(Goal(Version("v2"), "hello-1"), Plan((step,), (step,))))
    shown = example("json plan")
    assert shown.keys() == made.keys()
    assert {frozenset(row) for row in (*shown["ship"], *shown["tidy"])} == {frozenset(row) for row in made["ship"]}


def test_the_example_of_a_status_has_the_keys_of_a_status() -> None:
    """As the code writes them: read from its source, since a status needs an AWS to be made."""
    made = [
        (function.name, {key.value for key in node.keys if isinstance(key, ast.Constant)})
        for function in ast.parse((ROOT / "shipit/cli/documents.py").read_text()).body
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Dict)
    ]
    shown = example("json status")
    assert ("status_document", set(shown)) in made
    for row in shown["rollback_targets"]:
        assert ("status_document", set(row)) in made
    for row in shown["split"]:
        assert ("_fleet_row", set(row)) in made


def test_the_examples_of_gc_and_doctor_have_the_keys_of_what_is_printed() -> None:
    shop: Any = SimpleNamespace(config=SimpleNamespace(app="hello", env="sandbox"))
    found = Leftover(Kind.IMAGE, "ami-1", "old")
    survey: Any = SimpleNamespace(found=(found,), notes=())
    for label, rows, text in (
        ("json gc", "leftovers", gc_document(shop, survey, [Fate(found, True)], yes=True)),
        ("json doctor", "findings", doctor_document(shop, [Finding(Health.OK, "git")])),
    ):
        made, shown = json.loads(text), example(label)
        assert shown.keys() == made.keys()
        assert {frozenset(row) for row in shown[rows]} == {frozenset(row) for row in made[rows]}
    assert {row["mood"] for row in example("json doctor")["findings"]} == {mood.value.lower() for mood in Health}
    assert {kind.value for kind in Kind} == set(
        re.findall(r"`(\w+)`", text_of("json.md").partition("`kind` is one of ")[2].partition(". ")[0])
    )


# Lists


def test_golden_configuration_page_and_schema_are_current() -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        configuration.write()
    page = configuration.PAGE.read_text(encoding="utf-8")
    assert configuration.MARK in page
    assert page == configuration.page(page), "make golden"
    assert configuration.SCHEMA.read_text(encoding="utf-8") == configuration.schema(), "make golden"


@pytest.mark.parametrize(
    ("path", "field"), list(configuration.keys()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_example_of_a_setting_is_one_that_it_takes(path: str, field: Any) -> None:
    value = configuration.example(path, field)
    *above, key = path.split(".")
    section: dict[str, Any] = {key: value}
    if path.startswith("bake.source_image."):
        section = {"name": "x", "owners": ["self"], **section} if key != "id" else section
        section = {"owners": ["self"], **section} if key == "name" else section
    if key in ("min_size", "max_size"):
        section["size"] = 4
    for name in reversed(above):
        section = {name.lower(): section}
    if path.startswith("gates.alarms."):
        section["gates"]["alarms"] = {"names": ["shop-5xx"], **section["gates"]["alarms"]}
    for gate, needed in NEEDED_BY_GATES.items():
        if path.startswith(f"gates.{gate}.NAME."):
            named = section["gates"][gate]["name"]
            section["gates"][gate]["name"] = {**needed, **named}
            if ".metrics.NAME." in path:
                metric = {"namespace": "Shop", "name": "orders", **named["metrics"]["name"]}
                section["gates"][gate]["name"]["metrics"] = {"name": metric}
    Settings.model_validate({"app": "hello", **section})


def commands() -> Iterator[tuple[str, Any]]:
    def walk(group: Any, above: str) -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, f"{above} {name}")
            else:
                yield f"{above} {name}", command

    yield from walk(typer.main.get_command(app), "shipit")


def section(page: str, command: str) -> str:
    """What the page says of a command: from its heading to the next."""
    found = re.search(rf"^##+ `{re.escape(command)}[ `].*?(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
    return found.group() if found else ""


@pytest.mark.parametrize(
    ("name", "command"), list(commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_and_option_is_documented(name: str, command: Any) -> None:
    said = section(text_of("commands.md"), name)
    assert said, f"{name} has no heading"
    options = {word for one in command.params for word in (*one.opts, *one.secondary_opts) if word.startswith("--")}
    assert set(re.findall(r"`(--[\w-]+)", said)) - {"--help"} == options - {"--help"}


def test_nothing_is_documented_that_is_no_command() -> None:
    known = {name for name, _ in commands()} | {"shipit sandbox"}
    headings = re.findall(r"^##+ `(shipit[^`\[]*?)(?: [A-Z\[][^`]*)?`", text_of("commands.md"), re.MULTILINE)
    assert {heading.strip() for heading in headings} <= known


def test_the_readme_lists_every_command_and_says_which_are_to_come() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    top = {name.split()[1] for name, _ in commands()}
    cells = re.findall(r"^\| (`shipit [^|]*) \|", readme, re.MULTILINE)
    named = {word for cell in cells for word in re.findall(r"`(?:shipit )?(\w+)", cell)}
    assert named == top
    to_come = set(re.findall(r"`([\w-]+)`", readme.partition("To come")[2].partition("\n\n")[0]))
    assert not to_come & top


def test_every_exit_code_is_documented() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| `(\w+)`", text_of("errors.md"), re.MULTILINE))
    assert rows == {str(code): ending.value for ending, code in EXIT_CODES.items()}


def test_every_variable_is_documented() -> None:
    sources = [*ROOT.glob("shipit/**/*.py"), *ROOT.glob("packer/**/*.sh"), *ROOT.glob("templates/**/*.j2")]
    used = {name for path in sources for name in re.findall(r"\bSHIPIT_[A-Z]+\b", path.read_text())}
    manual = text_of("configuration.md") + text_of("bake.md")
    assert {name for name in used - {"SHIPIT_SUDO"} if f"`{name}`" not in manual} == set()


def test_every_tag_is_documented() -> None:
    tags = {
        value for value in vars(naming).values() if isinstance(value, str) and re.fullmatch(r"shipit:[a-z-]+", value)
    }
    manual = text_of("how-it-works.md")
    assert {tag for tag in tags if f"`{tag}`" not in manual} == set()


# Permissions


def called_actions() -> set[str]:
    """The IAM action of every AWS call in shipit/aws, told by the name of the client that it is made on."""
    session = botocore.session.get_session()
    operations = {
        service: {xform_name(name): name for name in session.get_service_model(service).operation_names}
        for service in SERVICES
    }
    clients = {
        "_asg": "autoscaling",
        "_dynamo": "dynamodb",
        "_ec2": "ec2",
        "_elb": "elbv2",
        "_iam": "iam",
        "client('sts')": "sts",
    }
    found = set()
    for path in (ROOT / "shipit" / "aws").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            name, receiver = node.func.attr, ast.unparse(node.func.value)
            if name in ("get_paginator", "get_waiter") and isinstance(node.args[0], ast.Constant):
                name = str(node.args[0].value)
            knowing = [service for service in SERVICES if name in operations[service]]
            service = next((clients[end] for end in clients if receiver.endswith(end)), knowing[0] if knowing else "")
            if knowing:
                assert service in knowing, f"{path.name}:{node.lineno}: whose call is {receiver}.{name}?"
                assert len(knowing) == 1 or receiver.endswith(tuple(clients)), f"{path.name}:{node.lineno}: {name}"
                found.add(f"{SERVICES[service]}:{operations[service][name]}")
    return found


def documented_groups() -> dict[str, set[str]]:
    rows = re.findall(r"^\| (\w+) \| (`[a-z0-9]+:[^|]*) \|", text_of("permissions.md"), re.MULTILINE)
    return {name: set(re.findall(r"`([a-z0-9]+:\w+)`", actions)) for name, actions in rows}


def test_every_aws_call_has_its_permission_documented() -> None:
    groups = documented_groups()
    own = set().union(*(actions for name, actions in groups.items() if name != "packer"))
    asked_by_aws = {"ec2:RunInstances", "iam:PassRole", "iam:CreateServiceLinkedRole"}
    assert own - asked_by_aws == called_actions()


def test_the_policies_allow_what_the_groups_say_and_nothing_else() -> None:
    groups = documented_groups()
    policies = {role: example(f"json policy {role}") for role in ("look", "rollback", "release")}
    allowed = {
        role: {action for statement in policy["Statement"] for action in statement["Action"]}
        for role, policy in policies.items()
    }
    assert allowed["look"] == groups["look"]
    assert allowed["rollback"] == groups["shift"] | groups["keep"]
    needed = groups["launch"] | groups["retire"] | groups["bake"] | groups["packer"] | groups["gates"]
    assert allowed["look"] | allowed["rollback"] | allowed["release"] >= needed
    assert allowed["release"] <= needed


# Links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", BLOCK.sub("", page.read_text(encoding="utf-8"))):
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        assert there.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}, target


def test_pages_that_the_code_names_exist() -> None:
    sources = [*ROOT.glob("shipit/**/*.py"), *ROOT.glob("templates/**/*"), *ROOT.glob("packer/**/*")]
    named = {
        name
        for path in sources
        if path.is_file()
        for name in re.findall(r"docs/[\w-]+\.\w+", path.read_text("utf-8", "replace"))
    }
    assert {name for name in named if not (ROOT / name).is_file()} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_line_is_too_long_to_read_outside_of_tables_and_examples(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    assert [line for line in text.splitlines() if len(line) > 140 and not line.startswith(("|", "- "))] == []


# The schema


def schema_errors(text: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(json.loads(configuration.SCHEMA.read_text(encoding="utf-8")))
    return [error.message for error in validator.iter_errors(YAML(typ="safe", pure=True).load(text))]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(configuration.SCHEMA.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "path",
    [*sorted(ROOT.glob("examples/**/shipit.yml")), ROOT / "templates" / "init.yml"],
    ids=lambda path: path.parent.name,
)
def test_the_schema_takes_the_examples(path: Path) -> None:
    assert schema_errors(path.read_text(encoding="utf-8").replace("APP_NAME", "hello")) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("app: Hello", "does not match", id="bad name"),
        pytest.param("region: eu-west-1", "not valid under any", id="no app"),
        pytest.param("app: a\nflet: {}", "Additional properties", id="unknown section"),
        pytest.param("app: a\nfleet: {sizes: 1}", "Additional properties", id="unknown key"),
        pytest.param("app: a\nfleet: {size: 0}", "minimum", id="too small"),
        pytest.param("app: a\nenvironments: {p: {fleet: {size: 0}}}", "minimum", id="too small in an overlay"),
        pytest.param(
            "app: a\nenvironments: {p: {environments: {}}}", "Additional properties", id="overlay in an overlay"
        ),
        pytest.param("app: a\nbake: {communicator: telnet}", "not one of", id="not a choice"),
    ],
)
def test_the_schema_refuses(text: str, says: str) -> None:
    assert any(says in message for message in schema_errors(text)), schema_errors(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("app: a\nenvironments: {p: {fleet: {size: 3}}, q: null}", id="part of the settings, or none"),
        pytest.param("environments: {p: {app: a}}", id="app in the environment"),
        pytest.param("app: a\nenvironments:", id="no environment"),
    ],
)
def test_the_schema_takes(text: str) -> None:
    assert schema_errors(text) == []


# Gates


def test_the_example_of_gates_has_every_kind_and_is_valid() -> None:
    settings = load_config(ROOT / "examples" / "gates" / "shipit.yml").settings
    assert all(getattr(settings.gates, kind) for kind in kinds())


@pytest.mark.parametrize(("orders", "code"), [("3", 75), ("12", 0)])
def test_the_example_of_a_program_as_gate_says_what_gates_understand(tmp_path: Path, orders: str, code: int) -> None:
    file = tmp_path / "orders"
    file.write_text(orders)
    facts = {"SHIPIT_VERSION": "v2", "SHIPIT_PERCENT": "5", "ORDERS_FILE": str(file), "PATH": os.environ["PATH"]}
    script = ROOT / "examples" / "gates" / "smoke-test.sh"
    done = subprocess.run([script], env=facts, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert f"{orders} orders by v2" in done.stdout


def test_the_gate_of_the_manual_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer's gate is one file: put beside the others it can be set, and judges."""
    (source,) = (param.values[0] for param in blocks("python") if "class Night" in str(param.values[0]))
    (tmp_path / "night.py").write_text(str(source))
    monkeypatch.setattr(gates, "__path__", [*gates.__path__, str(tmp_path)])
    night = kinds()["night"]
    judged = night.gate(night.Settings(), None).judge(SimpleNamespace(now=datetime(2026, 1, 1, 3, tzinfo=UTC)))
    assert (judged.mood, judged.reason) == (Mood.NOT_YET, "it is night")
