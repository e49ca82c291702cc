"""shipit.yml read, overlaid with the environment and checked, with line and column for every complaint.

Needs ruamel.yaml and pydantic, so it is imported only for a file that was not checked before (`shipit.config`).
"""

from __future__ import annotations

import difflib
import reprlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, TaggedScalar
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from shipit.errors import UsageError
from shipit.gate import refuse_unknown
from shipit.gates import names
from shipit.schedule import parse_schedule
from shipit.settings import MEANINGS, Settings

DEFAULT_ENVIRONMENT = "production"
DEEPEST = 12
MOST_BRACKETS = 200
MOST_COMPLAINTS = 50
_SHAPE = "environments: {staging: {}, production: {fleet: {size: 6}}}"
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
            if not _has(node, key):
                break
            line, column = _written_at(node, key) or (line, column)
            node = node[key]
        return f"{self.path.name}:{line + 1}:{column + 1}"

    def environment(self, name: str) -> object:
        """The key of an environment as the file has it: a number stays one."""
        names = self.root.get("environments") or {}
        return next((key for key in names if str(key) == name), name)

    def holds(self, *keys: object) -> bool:
        node: Any = self.root
        for key in keys:
            if not _has(node, key):
                return False
            node = node[key]
        return True


def _has(node: object, key: object) -> bool:
    if isinstance(node, list):
        return isinstance(key, int) and key < len(node)
    return isinstance(node, CommentedMap) and key in node


def _written_at(node: Any, key: Any) -> tuple[int, int] | None:
    """Line and column, from 0; None for what stands elsewhere and was merged in (`<<: *alias`), or in an ordered mapping."""
    places = node.lc
    try:
        line, column = places.item(key) if isinstance(node, list) else places.key(key)
    except (KeyError, TypeError):
        return None
    return line, column


def check_config(path: Path, text: bytes, env: str | None, builtin: Mapping[str, Raw]) -> tuple[Settings, str]:
    """The settings of one environment, and its name; `text` is what was read from the file.

    Raises `UsageError` that lists every complaint with line, column, key, what was expected and an example.
    """
    root = _parse(path, text)
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


def _parse(path: Path, text: bytes) -> CommentedMap:
    try:
        _refuse_brackets(path, text)
        with warnings.catch_warnings():
            # YAML 1.2 allows an anchor to be set anew; ruamel would tell the user about it, in words for programmers.
            warnings.simplefilter("ignore")
            root = YAML(typ="rt", pure=True).load(text.decode())
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} cannot be read", str(error), "save it as UTF-8") from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path.name}:{mark.line + 1}:{mark.column + 1}" if mark else path.name
        raise _not_yaml(where, str(error.problem or error.context)) from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise _not_yaml(path.name, str(error)) from error
    _refuse_cycles(path, root, (), {})
    if not isinstance(root, CommentedMap):
        raise UsageError(
            f"{path.name}:1:1: expected keys such as `app: hello`", f"got {type(root).__name__}", "shipit init"
        )
    return root


def _refuse_brackets(path: Path, text: bytes) -> None:
    """Thousands of open brackets would take the YAML reader minutes to refuse."""
    if text.count(b"[") + text.count(b"{") > MOST_BRACKETS:
        depths = accumulate((letter in b"[{") - (letter in b"]}") for letter in text)
        if max(depths) > MOST_BRACKETS:
            raise _not_yaml(path.name, f"more than {MOST_BRACKETS} brackets are open")


def _not_yaml(where: str, why: str) -> UsageError:
    return UsageError(f"{where}: not valid YAML", why.partition("\n")[0], "docs/configuration.md has an example")


def _refuse_cycles(path: Path, node: object, above: tuple[int, ...], seen: dict[int, int]) -> None:
    """An alias may stand for a part that contains it; no shipit.yml means that.

    `seen` holds how deep each part was found: aliases of aliases can make one part appear a million times over.
    """
    if seen.get(id(node), -1) >= len(above):
        return
    if id(node) in above or len(above) > DEEPEST:
        raise UsageError(
            f"{path.name}: a part of the file contains itself, or is nested too deeply", "", "write it out"
        )
    if isinstance(node, (Mapping, list)):
        seen[id(node)] = len(above)
        for key, child in node.items() if isinstance(node, Mapping) else enumerate(node):
            _refuse_tag(path, node, key, child)
            _refuse_cycles(path, child, (*above, id(node)), seen)


def _refuse_tag(path: Path, node: object, key: object, child: object) -> None:
    """`!Ref x` is not the text `x`; nor is it anything else here."""
    if isinstance(child, TaggedScalar):
        line, column = _written_at(node, key) or (0, 0)
        what = f"{path.name}:{line + 1}:{column + 1}: {key}: expected a value without a tag"
        raise UsageError(
            what, f"{child.tag.value} means nothing here", "write the value itself, in quotes if it begins with !"
        )


def _overlays(place: _Place) -> dict[str, Raw]:
    overlays = place.root.get("environments") or {}
    if not isinstance(overlays, Mapping):
        what = f"{place.at('environments')}: environments: expected a name with settings below it"
        raise UsageError(what, f"got {_SHORT.repr(overlays)}", _SHAPE)
    for name, overlay in overlays.items():
        if overlay is not None and not isinstance(overlay, Mapping):
            where = place.at("environments", name)
            what = f"{where}: environments.{name}: expected settings below it"
            raise UsageError(what, f"got {_SHORT.repr(overlay)}", _SHAPE)
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
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        details = error.errors(include_url=False)
        complaints = [_complaint(place, env, detail) for detail in details[:MOST_COMPLAINTS]]
        complaints += [f"and {len(details) - MOST_COMPLAINTS} more"] if len(details) > MOST_COMPLAINTS else []
        what = complaints[0] if len(complaints) == 1 else "\n".join(["shipit.yml is not valid:", *complaints])
        raise UsageError(what, "", "docs/configuration.md lists every key") from error
    _refuse_unknown_gates(place, env, settings)
    return settings


def _refuse_unknown_gates(place: _Place, env: str, settings: Settings) -> None:
    """A stage may only name gates that there are: nobody else would judge it."""
    named = {name for stage in parse_schedule(settings.traffic.schedule) for name in stage.gates}
    try:
        refuse_unknown(sorted(named), names(settings.gates))
    except UsageError as error:
        where = place.at(*_in_file(place, env, ("traffic", "schedule")))
        raise UsageError(f"{where}: traffic.schedule: {error.what}", error.why, error.next) from error


def _complaint(place: _Place, env: str, detail: Any) -> str:
    keys: Sequence[Any] = detail["loc"]
    section, field, named = _field(keys)
    where = place.at(*_in_file(place, env, keys))
    name = ".".join(str(key) for key in keys if key != "[key]") or "shipit.yml"
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(keys[-1]), section.model_fields, n=1, cutoff=0.5)
        hint = f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(section.model_fields)}"
        return f"{where}: {name}: unknown key; {hint}"
    if detail["type"] == "missing":
        return f"{where}: {name} is missing: {field.description if field else ''}{_example(field)}"
    return f"{where}: {name}: {_expected(detail, section, named)}{_got(detail['input'])}{_example(field)}"


def _in_file(place: _Place, env: str, keys: Sequence[Any]) -> tuple[Any, ...]:
    """The keys as they lead to the value in the file: through the environment's overlay if that sets it, else the base."""
    overlay = ("environments", place.environment(env))
    set_here = place.holds(*overlay, *keys) or (place.holds(*overlay, *keys[:1]) and not place.holds(*keys))
    return (*overlay, *keys) if keys and set_here else tuple(keys)


def _expected(detail: Any, section: type[BaseModel], named: bool) -> str:
    """What was expected, in words of YAML."""
    kind = detail["type"]
    if kind == "string_pattern_mismatch":
        pattern = detail["ctx"]["pattern"]
        return f"expected {MEANINGS.get(pattern, f'what matches {pattern}')}"
    if kind == "string_type":
        is_several = isinstance(detail["input"], (Mapping, list))
        return "expected one text" if is_several else 'expected text; put it in quotes: "…"'
    if kind in ("model_type", "model_attributes_type"):
        if detail["input"] is None:
            return "nothing stands below it; {} takes all defaults"
        keys = ", ".join(section.model_fields)
        return f"expected {'a name, and below it ' if named else ''}keys{'' if named else ' below it'}: {keys}"
    return _KINDS.get(kind) or str(detail["msg"]).removeprefix("Value error, ").replace("Input should", "it should")


_KINDS = {
    "tuple_type": "expected a list: [a, b]",
    "dict_type": "expected names with values: {NAME: value}",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
}


def _got(value: object) -> str:
    """The value, cut short: a file of a few lines can stand for gigabytes."""
    return "" if isinstance(value, (Mapping, BaseModel)) or value is None else f" (got {_SHORT.repr(value)})"


class _Short(reprlib.Repr):
    """Cuts ruamel's lists and mappings short as well: reprlib goes by the name of the type."""

    repr_CommentedSeq = reprlib.Repr.repr_list  # noqa: N815
    repr_CommentedMap = repr_CommentedOrderedMap = reprlib.Repr.repr_dict  # noqa: N815

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxdict = 2, 4, 4


_SHORT = _Short()


def _field(keys: Sequence[Any]) -> tuple[type[BaseModel], FieldInfo | None, bool]:
    """The section that the keys lead to, the field in it, and whether the last of them is the name of one of several."""
    section: type[BaseModel] = Settings
    field: FieldInfo | None = None
    named = False
    for number, key in enumerate(keys):
        if named:
            if number == len(keys) - 1:
                return section, None, True
            named = False
            continue
        field = section.model_fields.get(str(key))
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
        below = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if field is None or not below:
            break
        section, named = below[0], getattr(field.annotation, "__origin__", None) is dict
    return section, field, False


def _example(field: FieldInfo | None) -> str:
    return f", for example: {field.examples[0]}" if field and field.examples else ""
