"""Wrong shipit.yml files: every key with every kind of value that it cannot have, structures and bytes that are no YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.bad_input.cases import Case
from tests.bad_input.terminal import GOOD

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "shipit.schema.json").read_text())
COMMANDS = (("status",), ("release", "v1"), ("plan", "v1"), ("bake", "v1"), ("rollback",), ("history",))
NAME = "shipit.yml"
# As YAML: values by the JSON type that they are of.
VALUES: dict[str, tuple[str, ...]] = {
    "null": ("null", "~", ""),
    "boolean": ("true", "false"),
    "integer": ("7", "0x1F", "-3"),
    "number": ("1.5", ".nan", "-.inf", ".inf", "1e400", "-0.25"),
    "string": ('"text"', "plain", "'7'", "'true'", "|\n                a\n                b"),
    "array": ("[]", "[1]", "[[[]]]", "[{a: b}]"),
    "object": ("{a: b}", "{app: hello}", "{1: 2}", "{null: null}"),
    "odd": ("!!python/object:os.system x", "2001-01-01", "2001-01-01T00:00:00Z", "!!timestamp 2001-01-01"),
    # Not quite of another kind: YAML's bytes may stand for text, its sets for lists, its ordered mappings for mappings.
    "binary": ("!!binary aGk=",),
    "set": ("!!set {a, b}",),
    "omap": ("!!omap [a: b]",),
}
NOT_YAML = (
    *(b"app: [hello\n", b"app: hello\n\tregion: x\n", b"app: 'x\n", b'app: "\\q"\n', b"app: *x\n", b"app: &a\n&a x: y\n"),
    *(b"app: hello\n---\napp: b\n", b"app: hello\napp: hello\n", b"a: b: c\n", b"- a\nb: c\n", b"%YAML 9.9\n---\napp: a\n"),
    *(b"app: hello\n...\nrubbish\n", b"app: hello\nfleet: {size: 1, size: 2}\n", b"? [a]\n: b\n", b"app: @x\n", b"`", b"%"),
    *(b"app: \x00\n", b"app: \x1b[2J\n", b"app: h\xe4user\n", b"\xff\xfe", b"\xfe\xff", b"\x7fELF\x02\x01", b"PK\x03\x04"),
    *(GOOD.encode("utf-16"), GOOD.encode("utf-16-le"), GOOD.encode("utf-32"), GOOD.replace("hello", "häuser").encode("latin-1")),
    *(b"app: \xed\xa0\x80\n", b"app: \xc0\xaf\n", b"{", b"}", b"[", b"]", b"!", b"&", b"*", b"|", b">", b'"', b"'", b"\\"),
    *(b"<<: *x\napp: hello\n", b"app: hello\n<<: [1, 2]\n", b"app: hello\n<<: text\n", b"app: !!int x\n", b"!!python/name:os.system\n"),
    *(b"[" * 5000, b"{a: " * 5000, b"- " * 5000, b"? " * 3000, b"!!x " * 3000, b"&a " * 3000, b"app: " + b"9" * 100_000),
    *(b"app: hello\nfleet: {size: " + b"9" * 10_000 + b"}\n", b"app: hello\nfleet: " + b"[" * 500 + b"]" * 500),
)  # fmt: skip
NO_SETTINGS = (
    *(
        b"",
        b"\n\n\n",
        b"# nothing\n# here\n",
        b"---\n",
        b"---\n...\n",
        b"null\n",
        b"~\n",
        b"true\n",
        b"3\n",
        b"hello\n",
        b"[]\n",
    ),
    *(
        b"- app: hello\n",
        b"{}\n",
        b"region: eu-west-1\n",
        b"{app: }\n",
        b"app:\n",
        b"!!set {app}\n",
        b"2001-01-01\n",
        b"''\n",
    ),
    *("\ufeff".encode(), b"#!/bin/sh\necho app\n", b"<xml/>", b'{"app": 3}', b"app=hello\n", b"[app]\nname = 1\n"),
)
STRUCTURES = (
    *("&r\napp: hello\nfleet: *r\n", "app: hello\nfleet: &f {size: *f}\n", "app: hello\nrun: &r\n  environment: *r\n"),
    *("app: hello\nenvironments: &e {live: {environments: *e}}\n", "app: hello\nenvironments: [live]\n"),
    *("app: hello\nenvironments: live\n", "app: hello\nenvironments: {live: 3}\n", "app: hello\nenvironments: {live: [a]}\n"),
    *("app: hello\nenvironments: {live: {environments: {}}}\n", "app: hello\nenvironments: {live: {fleet: {size: 0}}}\n"),
    *("app: hello\nenvironments: {a: {}, b: {}}\n", "app: hello\nenvironments: {? [a, b] : {}, c: {}}\n", "app: hello\n1: 2\n"),
    *("app: hello\n? {a: b}\n: c\n", "app: hello\nfleet: {? [a] : b}\n", "app: hello\nnull: x\n", "app: hello\n? \n: x\n"),
    *("app: hello\n<<: {flet: {}}\n", "app: hello\nbase: &b {size: 0}\nfleet: {<<: *b}\n", "app: hello\n'<<': 3\n"),
    *("app: hello\nfleet:\n  size: 2\n  size: 3\n", "app: hello\nenvironments: {live: {}, live: {}}\n"),
    *("app: hello\nfleet: {min_size: 5, size: 2}\n", "app: hello\nhealth: {interval_seconds: 5, timeout_seconds: 60}\n"),
    *("app: hello\nbake: {source_image: {id: ami-1, name: x, owners: [self]}}\n", "app: hello\nbake: {source_image: {}}\n"),
)  # fmt: skip


def all_files() -> list[Case]:
    """Every key of the schema with every value of a wrong kind or out of bounds, each misspelt; and what is no settings."""
    texts = [(text, ()) for text in (*NOT_YAML, *NO_SETTINGS, *map(str.encode, STRUCTURES), *_large(), *_random_cuts())]
    made = [*texts, *_wrong_keys(), *_wrong_values()]
    return [_case(text, names, number) for number, (text, names) in enumerate(made)]


def random_files() -> st.SearchStrategy[Case]:
    """Bytes and letters that do not even name the app, so that they cannot be settings; and a good file that was cut into."""
    letters = st.text("ab: -[]{}&*!|>'\"%#?,\n\t01~<\\@`é\u2028\u0085", max_size=200).map(str.encode)
    noise = st.one_of(st.binary(max_size=300), letters).filter(lambda text: b"app" not in text)
    structures = st.dictionaries(
        st.text(max_size=6).filter(lambda key: key != "app"), _anything(), min_size=1, max_size=5
    )
    dumped = structures.map(lambda value: json.dumps(value).encode())
    under = st.tuples(st.sampled_from(sorted(_sections())), structures).map(_unknown_below)
    return st.tuples(st.one_of(noise, dumped, under), st.integers(0, 5)).map(
        lambda drawn: _case(drawn[0], (), drawn[1])
    )


def _case(text: bytes, names: tuple[str, ...], number: int) -> Case:
    return Case(COMMANDS[number % len(COMMANDS)], text, names=names, file=NAME)


def _anything() -> st.SearchStrategy[Any]:
    scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12))
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    )


def _unknown_below(drawn: tuple[str, dict[str, Any]]) -> bytes:
    section, values = drawn
    return json.dumps({"app": "hello", section: {f"{key}?": value for key, value in values.items()}}).encode()


def _sections() -> dict[str, Any]:
    found = {name: _resolved(schema) for name, schema in SCHEMA["properties"].items() if name != "environments"}
    return {name: schema for name, schema in found.items() if "properties" in schema}


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return _resolved(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    return schema


def keys(
    schema: dict[str, Any] | None = None, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every key that shipit.yml can have, with its schema: sections first, then what is in them."""
    for name, below in _resolved(schema or SCHEMA).get("properties", {}).items():
        if name != "environments":
            yield (*above, name), _resolved(below)
            yield from keys(_resolved(below), (*above, name))


def _wrong_values() -> Iterator[tuple[bytes, tuple[str, ...]]]:
    turn = count()
    for path, schema in keys():
        for value in wrong_values(schema):
            above = ("environments", "live") if next(turn) % 2 else ()
            yield _file((*above, *path), value), (path[-1], path[0])


def wrong_values(schema: dict[str, Any]) -> Iterator[str]:
    """Values, as YAML, that this schema does not allow."""
    kinds = list(_kinds(schema))
    types = {kind.get("type", "string") for kind in kinds}
    types |= {other for type_ in types for other in _TAKEN_FOR.get(type_, ())}
    for type_, values in VALUES.items():
        if type_ not in types:
            yield from (value for value in values if not ("boolean" in types and value in ("'true'",)))
    for kind in kinds:
        yield from _out_of_bounds(kind)


def _kinds(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for one in schema.get("anyOf", [schema]):
        yield _resolved(one)


# What is taken for a type besides values of that type.
_TAKEN_FOR = {"number": ("integer",), "string": ("binary",), "array": ("set",), "object": ("omap",)}


def _out_of_bounds(kind: dict[str, Any]) -> Iterator[str]:
    for bound, step in (("minimum", -1), ("exclusiveMinimum", 0), ("maximum", 1), ("exclusiveMaximum", 0)):
        if bound in kind:
            yield str(kind[bound] + step)
    if kind.get("type") in ("integer", "number"):
        yield from (".nan", ".inf", "-.inf", "1e400", "-1e400", "-99999999999999999999999", "1,5", "12:30:45")
    if kind.get("type") == "integer":
        yield from ("1.5", "1e-3")
    if "enum" in kind:
        yield from ("nope", '""', '"\\0"')
    if "pattern" in kind:
        candidates = (
            "",
            " x y",
            "\x00",
            "\x1b[2J",
            "é",
            "x\ny",
            "a" * 400,
            "../../etc",
            "$(id)",
            "\u202e",
            "{{ app }}",
            "%s",
        )
        yield from (json.dumps(text) for text in candidates if not re.fullmatch(kind["pattern"], text.strip()))
    if kind.get("type") == "array":
        yield from (f"[{value}]" for value in wrong_values(kind["items"]) if not set(value) & set("\n!") and value)


def _wrong_keys() -> Iterator[tuple[bytes, tuple[str, ...]]]:
    """Each section with a key that it does not have, and each key misspelt."""
    for path, schema in keys():
        for wrong in (f"{path[-1]}s_", path[-1].upper(), f"{path[-1]}-", f"_{path[-1]}"):
            yield _file((*path[:-1], wrong), "1"), (wrong,)
        if "properties" in schema:
            yield from (
                (_file((*path, wrong), "{}"), (wrong[:30],)) for wrong in ("environments", "x" * 50_000, "0", "ключ")
            )


def _file(path: Sequence[str], value: str) -> bytes:
    """A file of which one value is wrong, each key on a line of its own."""
    lines = [f"{'  ' * depth}{key if len(key) < 100 else f'? {key}'}" for depth, key in enumerate(path)]
    head = [] if path == ("app",) else ["app: hello"]
    joined = "".join(f"{line}\n{'  ' * depth}:\n" if "? " in line else f"{line}:\n" for depth, line in enumerate(lines))
    return "\n".join([*head, f"{joined[:-1]} {value}", ""]).encode()


def _large() -> Iterator[bytes]:
    yield GOOD.encode() + b"# long\n" * 200_000
    yield b"app: " + b"x" * 900_000
    yield b"app: hello\nfleet: {subnets: [" + b"subnet-0a, " * 20_000 + b"nope]}\n"
    yield b"".join(b"key%d: 1\n" % number for number in range(3000))
    levels = [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 9)]
    yield "\n".join(["app: hello", "x0: &x0 [l, l, l, l, l, l, l, l, l]", *levels, "fleet: {size: *x8}", ""]).encode()
    maps = [f"  m{n}: &m{n} {{a: *m{n - 1}, b: *m{n - 1}, c: *m{n - 1}}}" for n in range(1, 11)]
    yield "\n".join(["app: hello", "environments:", "  m0: &m0 {fleet: {size: 0}}", *maps, ""]).encode()


def _random_cuts() -> Iterator[bytes]:
    """A good file of which the name of the app was broken at every letter, and one with each byte that no text has."""
    text = GOOD.encode()
    at = text.index(b"hello")
    yield from (text[: at + n] + b"\x00" + text[at + n :] for n in range(6))
    yield from (text + bytes([byte]) for byte in (*range(0x80, 0x100), 0, 1, 7, 8, 0x1B, 0x7F))
