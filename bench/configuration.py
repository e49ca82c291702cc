"""docs/configuration.md and docs/shipit.schema.json, written from shipit/settings.py.

`make golden` rewrites both; a test keeps them current. The text of the page above the mark is written by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from shipit.settings import Settings

DOCS = Path(__file__).parents[1] / "docs"
PAGE, SCHEMA = DOCS / "configuration.md", DOCS / "shipit.schema.json"
MARK = "<!-- From here on written by `make golden` from shipit/settings.py. -->\n"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Keys without a default and without an example of their own.
EXAMPLES: dict[str, Any] = {
    "account": "123456789012",
    "bake.subnet": "subnet-0a1b2c3d",
    "bake.security_groups": ["sg-0a1b2c3d"],
    "bake.instance_profile": "app-builder",
    "bake.kms_key": "alias/images",
    "bake.variables": {"RUBY_VERSION": "3.3"},
    "run.environment": {"LOG_LEVEL": "info"},
    "fleet.min_size": 2,
    "fleet.max_size": 8,
    "fleet.subnets": ["subnet-0a1b2c3d", "subnet-4e5f6a7b"],
    "fleet.security_groups": ["sg-0a1b2c3d"],
    "fleet.instance_profile": "app",
    "gates.alarms.names": ["shop-5xx"],
    "gates.probe.NAME.contains": "Welcome",
    "gates.threshold.NAME.metrics.NAME.dimensions": {"TargetGroup": "{green}"},
    "gates.threshold.NAME.above": 1.5,
    "gates.threshold.NAME.below": 0.5,
    "gates.latency.slower_than_ms": 300,
    "traffic.listener": "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/web/50dc6c495c0c9188/f2f7dc8efc522ab2",
    "traffic.rule": "arn:aws:elasticloadbalancing:eu-west-1:123456789012:"
    "listener-rule/app/web/50dc6c495c0c9188/f2f7dc8efc522ab2/9683b2d02a6cabee",
}


def page(current: str) -> str:
    """The page: what stands above the mark in `current`, then one table for each section."""
    by_hand = current.partition(MARK)[0]
    return by_hand + MARK + "\n" + "\n".join(_section(Settings, ""))


def schema() -> str:
    """JSON Schema of shipit.yml: the settings, and under `environments` any part of them."""
    made = Settings.model_json_schema()
    sections = made.pop("$defs")
    settings = made.pop("properties")
    overlay = {"type": ["object", "null"], "properties": settings, "additionalProperties": False}
    environments = {
        "description": "By name: settings that are laid over those at the top.",
        "type": ["object", "null"],
        "additionalProperties": {"$ref": "#/$defs/Overlay"},
    }
    whole = {
        "$schema": DIALECT,
        "title": "shipit.yml",
        "description": "Settings of an app for shipit.",
        "type": "object",
        "properties": {**settings, "environments": environments},
        "additionalProperties": False,
        # `app` may be given by each environment instead.
        "anyOf": [{"required": ["app"]}, {"required": ["environments"]}],
        "$defs": {**sections, "Overlay": overlay},
    }
    return json.dumps(whole, indent=2) + "\n"


def keys(section: type[BaseModel] = Settings, above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key that holds a value, by its path."""
    for name, field in section.model_fields.items():
        below, named = section_of(field.annotation)
        if below:
            yield from keys(below, f"{above}{name}.{named}")
        else:
            yield f"{above}{name}", field


def section_of(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """The section that a key holds, also one that may be left out; and `NAME.` where there can be several by name."""
    arguments = get_args(annotation)
    if get_origin(annotation) is dict:
        found, _ = section_of(arguments[1])
        return found, "NAME." if found else ""
    return next((kind for kind in (annotation, *arguments) if _is_section(kind)), None), ""


def example(path: str, field: FieldInfo) -> Any:
    """A value that is worth showing: the field's own example, else its default; None when there is neither."""
    if field.examples:
        return field.examples[0]
    if path in EXAMPLES:
        return EXAMPLES[path]
    return field.get_default(call_default_factory=True)


def write() -> None:
    """Writes both files."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    SCHEMA.write_text(schema(), encoding="utf-8")


def _section(section: type[BaseModel], above: str) -> Iterator[str]:
    title = f"`{above.rstrip('.')}`" if above else "Top level"
    yield f"## {title}\n"
    yield f"{(section.__doc__ or '').strip()}\n"
    yield "| key | meaning | default | example | must be |"
    yield "| --- | --- | --- | --- | --- |"
    shapes = section.model_json_schema()["properties"]
    below = {name: section_of(field.annotation) for name, field in section.model_fields.items()}
    below = {name: (kind, named) for name, (kind, named) in below.items() if kind}
    for name, field in section.model_fields.items():
        path = f"{above}{name}"
        if name in below:
            anchor = f"{path}.{below[name][1]}".replace(".", "").lower()
            yield f"| `{path}` | {_cell(field.description)} | {_preset(field)} | | [a section](#{anchor}) |"
        else:
            yield _row(path, field, shapes[name])
    yield ""
    for name, (kind, named) in below.items():
        yield from _section(kind, f"{above}{name}.{named}")


def _preset(field: FieldInfo) -> str:
    """What a section holds when it is left out, where that differs from what its keys say."""
    if field.is_required():
        return "needed"
    if not isinstance(field.default, BaseModel):
        return "-"
    return _value(field.default.model_dump(exclude_unset=True)) if field.default.model_fields_set else ""


def _row(path: str, field: FieldInfo, shape: dict[str, Any]) -> str:
    default = "needed" if field.is_required() else _value(field.get_default(call_default_factory=True))
    cells = (f"`{path}`", field.description, default, _value(example(path, field)), _limits(shape))
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, (tuple, list)):
        return f"`[{', '.join(_text(item) for item in value)}]`"
    if isinstance(value, dict):
        inside = ", ".join(f"{key}: {_value(item).strip('`')}" for key, item in value.items())
        return f"`{{{inside}}}`"
    return f"`{_text(value)}`"


def _text(value: Any) -> str:
    """As it must be written in YAML: text that would read as something else in quotes."""
    if isinstance(value, str):
        return json.dumps(value) if value.replace(".", "").isdigit() or value[:1] in "{[" else value
    return json.dumps(value)


def _limits(shape: dict[str, Any]) -> str:
    """What JSON Schema says of a value, in words."""
    shape = next((one for one in shape.get("anyOf", []) if one.get("type") != "null"), shape)
    if "enum" in shape:
        return " or ".join(f"`{value}`" for value in shape["enum"])
    kind = shape.get("type")
    if kind == "array":
        return f"list: {_limits(shape['items'])}"
    if kind == "object":
        key = next(iter(shape.get("patternProperties", {"": None})))
        return f"names and texts; a name matches `{key}`" if key else "names and texts"
    if kind in ("integer", "number"):
        return _range("whole number" if kind == "integer" else "number", shape)
    if kind == "boolean":
        return "`true` or `false`"
    return f"text, matches `{shape['pattern']}`" if "pattern" in shape else "text"


def _range(noun: str, shape: dict[str, Any]) -> str:
    above = f"more than {shape['exclusiveMinimum']:g}" if "exclusiveMinimum" in shape else ""
    low = f"{shape['minimum']:g}" if "minimum" in shape else ""
    high = f"{shape['maximum']:g}" if "maximum" in shape else ""
    if low and high:
        return f"{noun}, {low} to {high}"
    below = f"less than {shape['exclusiveMaximum']:g}" if "exclusiveMaximum" in shape else ""
    limits = (above, f"at least {low}" if low else "", f"at most {high}" if high else "", below)
    return ", ".join([noun, *filter(None, limits)])


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|").replace("\n", " ")


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


if __name__ == "__main__":
    write()
