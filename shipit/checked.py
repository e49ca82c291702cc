"""shipit.yml read, overlaid with the environment and checked, with line and column for every complaint.

Needs ruamel.yaml and pydantic, so it is imported only for a file that was not checked before (`shipit.config`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from shipit.errors import UsageError
from shipit.settings import Settings

DEFAULT_ENVIRONMENT = "production"
Raw = Mapping[str, Any]


@dataclass(frozen=True)
class _Place:
    """A part of the file: which keys lead to it, so that a complaint can be given line and column."""

    path: Path
    root: CommentedMap

    def at(self, *keys: object) -> str:
        """`shipit.yml:12:5`: position of the deepest of the keys that is in the file."""
        node: Any = self.root
        line, column = 0, 0
        for key in keys:
            if isinstance(node, CommentedMap) and key in node:
                line, column = node.lc.key(key)
            elif isinstance(node, list) and isinstance(key, int) and key < len(node):
                line, column = node.lc.item(key)  # type: ignore[attr-defined]
            else:
                break
            node = node[key]
        return f"{self.path.name}:{line + 1}:{column + 1}"

    def holds(self, *keys: object) -> bool:
        node: Any = self.root
        for key in keys:
            if not isinstance(node, CommentedMap) or key not in node:
                return False
            node = node[key]
        return True


def check_config(path: Path, env: str | None, builtin: Mapping[str, Raw]) -> tuple[Settings, str]:
    """The settings of one environment, and its name.

    Raises `UsageError` that lists every complaint with line, column, key, what was expected and an example.
    """
    root = _read(path)
    place = _Place(path, root)
    overlays = _overlays(place)
    chosen = env or _only_environment(place, overlays)
    if chosen not in {*builtin, *overlays} and (overlays or chosen != DEFAULT_ENVIRONMENT):
        known = ", ".join({**builtin, **overlays}) or DEFAULT_ENVIRONMENT
        what = f"{place.at('environments')}: there is no environment {chosen!r}"
        raise UsageError(what, f"known: {known}", f"add it to environments: in {path.name}, or choose one: --env NAME")
    base = {key: value for key, value in root.items() if key != "environments"}
    for name in overlays:
        _check(place, name, _merge(_merge(base, builtin.get(name, {})), overlays[name]))
    merged = _merge(_merge(base, builtin.get(chosen, {})), overlays.get(chosen, {}))
    return _check(place, chosen, merged), chosen


def _read(path: Path) -> CommentedMap:
    try:
        text = path.read_text(encoding="utf-8")
        root = YAML(typ="rt", pure=True).load(text)
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}", "", "shipit init") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read", str(error)) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path.name}:{mark.line + 1}:{mark.column + 1}" if mark else path.name
        raise UsageError(f"{where}: not valid YAML", str(error.problem or error.context).splitlines()[0]) from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{path.name}: not valid YAML", str(error).splitlines()[0]) from error
    if not isinstance(root, CommentedMap):
        raise UsageError(
            f"{path.name}:1:1: expected keys such as `app: hello`", f"got {type(root).__name__}", "shipit init"
        )
    return root


def _overlays(place: _Place) -> dict[str, Raw]:
    overlays = place.root.get("environments") or {}
    if not isinstance(overlays, Mapping):
        raise UsageError(
            f"{place.at('environments')}: environments: expected a name with settings below it", f"got {overlays!r}"
        )
    for name, overlay in overlays.items():
        if overlay is not None and not isinstance(overlay, Mapping):
            where = place.at("environments", name)
            raise UsageError(f"{where}: environments.{name}: expected settings below it", f"got {overlay!r}")
    return {str(name): overlay or {} for name, overlay in overlays.items()}


def _only_environment(place: _Place, overlays: Mapping[str, Raw]) -> str:
    if len(overlays) > 1:
        raise UsageError(
            f"{place.path.name} has several environments", f"they are {', '.join(overlays)}", "choose one: --env NAME"
        )
    return next(iter(overlays), DEFAULT_ENVIRONMENT)


def _merge(base: Raw, over: Raw) -> dict[str, Any]:
    """`over` laid over `base`, sections key by key; lists are replaced."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


def _check(place: _Place, env: str, merged: Raw) -> Settings:
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        complaints = [_complaint(place, env, detail) for detail in error.errors(include_url=False)]
        what = complaints[0] if len(complaints) == 1 else "\n".join(["shipit.yml is not valid:", *complaints])
        raise UsageError(what, "", "docs/configuration.md lists every key") from error


def _complaint(place: _Place, env: str, detail: Any) -> str:
    keys: Sequence[Any] = detail["loc"]
    in_file = ("environments", env, *keys) if place.holds("environments", env, *keys[:1]) else tuple(keys)
    section, field = _field(keys)
    where, name = place.at(*in_file), ".".join(str(key) for key in keys) or "shipit.yml"
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(keys[-1]), section.model_fields, n=1, cutoff=0.5)
        hint = f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(section.model_fields)}"
        return f"{where}: {name}: unknown key; {hint}"
    if detail["type"] == "missing":
        return f"{where}: {name} is missing: {field.description if field else ''}{_example(field)}"
    expected = detail["msg"].removeprefix("Value error, ")
    got = "" if isinstance(detail["input"], (Mapping, BaseModel)) else f" (got {detail['input']!r})"
    return f"{where}: {name}: {expected}{got}{_example(field)}"


def _field(keys: Sequence[Any]) -> tuple[type[BaseModel], FieldInfo | None]:
    """The section that the keys lead to, and the field in it."""
    section: type[BaseModel] = Settings
    field: FieldInfo | None = None
    for key in keys:
        field = section.model_fields.get(str(key))
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
        below = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if field is None or not below:
            break
        section = below[0]
    return section, field


def _example(field: FieldInfo | None) -> str:
    return f", for example: {field.examples[0]}" if field and field.examples else ""
