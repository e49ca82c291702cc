"""Wrong command lines: every command and option that there is, each with every kind of value that it cannot mean.

Commands are found by looking, so a new one is covered; a new option that takes text must say here what is wrong for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import typer.main
from hypothesis import strategies as st

from shipit.cli.main import app
from shipit.cli.output import printable
from tests.bad_input.cases import Case

# No NUL: execve(2) ends an argument there, so it cannot be typed.
NASTY = (
    *("", " ", "\t", "\n", "\x1b[2J", "a\nb", "\x7f", "\udc80", "\u202egnp.exe", "🚢", "Ω" * 300),
    *("x" * 100_000, "-", "--", "---", "-v", "--help=", "../../etc/passwd", "%s%n%x", "{}", "{0}", "${HOME}", "`id`"),
    *("$(id)", "a;b", "a|b", "a&b", "NaN", "-1", "1e999", "'", '"', "\\", "<b>", "[red]", "null", "\ufeff", "a b"),
)


def _but(*names: str) -> tuple[str, ...]:
    return tuple(value for value in NASTY if value not in names)


REFS = (
    *(
        "--upload-pack=x",
        "-c",
        "--exec=id",
        "@{",
        "@{u}",
        "@{-1}",
        "..",
        "v1..",
        "..v1",
        "v1...v1",
        "^v1",
        "v1 ",
        " v1",
    ),
    *("v1^{tree}", "v1:shipit.yml", ":", ":/", "HEAD:", "HEAD~99", "HEAD^2", "refs/heads/", "stash@{0}", "v1.lock"),
    *("v1@{1}", "nope", "V1", "v1/", "/v1", "v1\\", "v1*", "v?", "~1", "^", "0" * 40, "deadbeef", "v2", "origin/v1"),
)
SCHEDULES = (
    *("5%", "101%", "0%", "-5%, 100%", "50%, 25%, 100%", "100% 10x", "5% 10x, 100%", "5% s, 100%", "5%10s, 100%"),
    *("5% -1s, 100%", "5% nan s, 100%", "nan%", "inf%", "5% 1e3s, 100%", "5%, 5%, 100%", "100%, 100%", ",", "5%,,100%"),
    *(
        "100%,",
        "100",
        "5% 30s 100%",
        "0.05%, 100%",
        "5% 99999h, 100%",
        "5% 9999999999999999999999s, 100%",
        "\u0665%, 100\u066a",
    ),
)
FILES = (
    *("missing.yml", ".", "..", "/", "/dev/null", "/dev/zero", "/dev/stdin", "/proc/self/mem", "../odd/fifo"),
    *("../odd/loop", "../odd/dangling", "../odd/empty", "../odd/binary", "../odd/elf", "../odd/long", "~nobody/x.yml"),
    *("shipit.yml/x", "a" * 300, "a/" * 3000),
)
NUMBERS = ("one", "0x10", "1,5", "1.5.5", "++1", "inf", "-inf", "nan", "1e400", str(10**40), str(-(10**40)), "0.0.0")


@dataclass(frozen=True)
class Text:
    """An option or argument that takes text: a value that is right, and those that cannot be."""

    right: str
    wrong: tuple[str, ...]


# By name of the parameter. What only AWS can tell, such as a version that never was, is not wrong here.
TEXTS = {
    "ref": Text("v1", (*NASTY, *REFS)),
    "image": Text("ami-0a", (*NASTY, "ami-", "ami-XYZ", "AMI-0a", "i-0a", "ami-0a ", "ami-0a\n", "ami-0a,ami-0b")),
    "canary": Text("5% 1s, 100%", (*NASTY, *SCHEDULES)),
    "env": Text("production", (*NASTY, "prodcution", "Production", "production ", "sandbox", "default")),
    "config": Text("shipit.yml", (*NASTY, *FILES)),
    "profile": Text("shop", (*NASTY, "nobody", "SHOP", "profile shop")),
    "to": Text("v1", ("", " ", "\t", "\n", "\x1b[2J", "a\nb", "\x7f", "\udc80", "-v", "--upload-pack=x")),
    "instance": Text("i-0a", (*NASTY, "i-", "i-XYZ", "0a", "ami-0a", "i-0a i-0b", "i-0a\n")),
    "name": Text("not-up", (*_but("null", "1e999"), "NOT-UP", "a.b", "a/b", "a_b", "-a", "x" * 32)),
    "app": Text("shop", (*_but("null"), "Shop", "9lives", "a_b", "x" * 32, "a:b", "hello\n", "shop: {}")),
    "folder": Text("../odd/room", (*(value for value in NASTY if value), "missing", "shipit.yml", "a/b/c")),
    "path": Text("/", (*NASTY, "healthz", "http://x/", "/a b", "/\r\nX: y", "/\x7f", "/\udc80", "/é")),
    "percent": Text("25", (*NASTY, "101", "-1", "25%%", "0.05", "1e2", "\u0662\u0665", "25 %x", "half")),
    "wait": Text("10m", (*NASTY, "10", "m", "10d", "-5m", "1e3s", "nan", "99999999h", "\u0661m", "10 minutes")),
    "reason": Text("because", ("", " ", "\n", "a\nb", "\x1b[2J", "\udc80", "x" * 501)),
    "what": Text("throttle", (*NASTY, "THROTTLE", "trottle")),
    "service": Text("elbv2", ("", "s3cret", "a b")),
    "action": Text("Describe*", ("", "a b")),
    "agent": Text("shipit/", ("\n", "a\nb", "\x1b[2J")),
    "group": Text("hello-v1", ("", "a b")),
    "header": Text("X-A: b", ("", " ", "nonsense", ":", ": x", "a\x01: b", "X: a\r\nY: b", "X: \x1b", "X y: z", "X: \u20ac")),
}  # fmt: skip
# Cannot be typed together with the option under test.
EXCLUSIVE = {"image": "ref"}


@dataclass(frozen=True)
class Command:
    words: tuple[str, ...]
    parameters: tuple[Any, ...]

    def line(self, without: str = "") -> tuple[str, ...]:
        """A line that is right: every argument that the command has, and no options but the one that saves a question."""
        names = [known_as(p) for p in self.parameters if p.param_type_name == "argument"]
        left_out = {without, EXCLUSIVE.get(without, "")}
        answers = ("--yes",) if any("--yes" in p.opts for p in self.parameters) else ()
        return (
            *self.words,
            *answers,
            *(TEXTS[name].right if name in TEXTS else "1" for name in names if name not in left_out),
        )


def commands(found: Any = None, above: tuple[str, ...] = ()) -> Iterator[Command]:
    """Every command that can be typed."""
    found = found or typer.main.get_command(app)
    if hasattr(found, "commands"):
        for name, below in found.commands.items():
            yield from commands(below, (*above, name))
    else:
        yield Command(above, tuple(p for p in found.params if p.name != "help"))


def wrong_values(parameter: Any) -> tuple[str, ...]:
    """What can be typed for the parameter, and cannot be meant."""
    kind = parameter.type
    if choices := getattr(kind, "choices", ()):
        return (*NASTY, *(choice.upper() for choice in choices), *(choice[:-1] for choice in choices))
    if _takes_a_number(kind):
        limits = [(getattr(kind, "min", None), -1), (getattr(kind, "max", None), 1)]
        beyond = [str(limit + step) for limit, step in limits if limit is not None]
        return tuple(value for value in (*NASTY, *NUMBERS, *beyond) if not _means_a_number(value, kind))
    return TEXTS[known_as(parameter)].wrong


def known_as(parameter: Any) -> str:
    """`canary` for `--canary`: what a person calls it."""
    return str(max(parameter.opts, key=len)).lstrip("-")


def takes_text(parameter: Any) -> bool:
    is_flag = getattr(parameter, "is_flag", False)
    return not (is_flag or getattr(parameter.type, "choices", ()) or _takes_a_number(parameter.type))


def _takes_a_number(kind: Any) -> bool:
    return type(kind).__name__.startswith(("Int", "Float"))


def _means_a_number(value: str, kind: Any) -> bool:
    try:
        number = int(value) if type(kind).__name__.startswith("Int") else float(value)
    except ValueError:
        return False
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    return not math.isnan(number) and (low is None or number >= low) and (high is None or number <= high)


def all_lines() -> list[Case]:
    """Every command with every option and every wrong value, and the ways to get the form of a line wrong."""
    made = [case for command in commands() for case in (*_wrong_values_of(command), *_wrong_forms_of(command))]
    return [*made, *_wrong_commands()]


def _wrong_values_of(command: Command) -> Iterator[Case]:
    for parameter in command.parameters:
        is_flag = getattr(parameter, "is_flag", False)
        values = ("yes", "1", "") if is_flag else wrong_values(parameter)
        for number, value in enumerate(values):
            spellings = list(_typed(command, parameter, value))
            yield spellings[number % len(spellings)]


def _typed(command: Command, parameter: Any, value: str) -> Iterator[Case]:
    """The value in every spelling: `--name value`, `--name=value`, `-n value`; an argument after `--` if need be."""
    rest, names = command.line(without=known_as(parameter)), _names(parameter, value)
    if parameter.param_type_name == "argument":
        guard = ("--",) if value.startswith("-") else ()
        yield Case((*rest, *guard, value), names=names)
        return
    long, *short = sorted(parameter.opts, key=len, reverse=True)
    yield Case((*rest, f"{long}={value}"), names=names)
    if not getattr(parameter, "is_flag", False):
        yield from (Case((*rest, name, value), names=names) for name in (long, *short))


def _names(parameter: Any, value: str) -> tuple[str, ...]:
    """How a complaint may name the value or the parameter; a blank shows only as itself."""
    shown = (
        (value[:30], repr(value)[1:-1][:30], ascii(value)[1:-1][:30])
        if value.strip()
        else ("empty", repr(value), value)
    )
    name = known_as(parameter)
    return tuple(
        filter(
            None,
            (*parameter.opts, f"{name} ", name.upper(), value.rpartition("/")[2][:30], printable(value[:30]), *shown),
        )
    )


def _wrong_forms_of(command: Command) -> Iterator[Case]:
    line = command.line()
    yield Case((*line, "extra"), names=("extra",))
    yield Case((*line, *("extra" for _ in range(500))), names=("extra",))
    yield Case((*line, "--", "--env", "x"), names=("--env",))
    for option in ("--no-such-option", "--no-such-option=1", "-Z", "--\x1b[2J", "--é", "-🚢", "--=", "--upload-pack=x"):
        yield Case((*line, option))
        yield Case((*command.words, option))
        yield Case((option, *line))
    for parameter in command.parameters:
        yield from _wrong_forms_of_option(command, parameter)


def _wrong_forms_of_option(command: Command, parameter: Any) -> Iterator[Case]:
    if parameter.param_type_name == "argument":
        if parameter.required:
            yield Case(command.line(without=known_as(parameter)), names=(known_as(parameter).upper(), "rgument"))
        return
    line, long = command.line(without=known_as(parameter)), max(parameter.opts, key=len)
    if not parameter.is_flag:
        yield from (Case((*line, option), names=(option, long)) for option in parameter.opts)
        right = right_value(parameter)
        # The last one counts, as everywhere.
        wrong = next(value for value in wrong_values(parameter) if value.strip())
        yield Case((*line, long, right, long, wrong))
    yield Case((*line, f"{long}x"), names=(long,))
    yield Case((*line, long.upper()), names=(long.upper(),))
    yield Case((*line, f"-{long}"))


def right_value(parameter: Any) -> str:
    kind = parameter.type
    if choices := getattr(kind, "choices", ()):
        return str(choices[0])
    return str(kind.min) if _takes_a_number(kind) else TEXTS[known_as(parameter)].right


def _wrong_commands() -> Iterator[Case]:
    groups = {command.words[:-1] for command in commands()}
    for group in groups:
        for word in (*(value for value in NASTY if value and not value.startswith("-")), "releaze", "RELEASE", "help"):
            yield Case((*group, word))
            yield Case((*group, word, "v1", "--env", "production"))


def random_lines() -> st.SearchStrategy[Case]:
    """A wrong value drawn letter by letter, for any parameter whose wrong values can be told from their letters."""
    # Of all surrogates a command line can only hold those that stand for bytes which are no UTF-8 (PEP 383).
    letter = st.characters(exclude_categories=["Cs"], exclude_characters="\0/")
    raw_byte = st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF)
    letters = st.text(letter | raw_byte, min_size=1, max_size=40)
    choices = [(c, p, wrong) for c in commands() for p in c.parameters if (wrong := _SURELY_WRONG.get(known_as(p)))]
    return st.tuples(st.sampled_from(choices), letters).flatmap(
        lambda drawn: st.sampled_from(list(_typed(drawn[0][0], drawn[0][1], drawn[0][2](drawn[1]))))
    )


# Turns any text into one that is wrong for the parameter, whatever the text is.
_SURELY_WRONG: dict[str, Callable[[str], str]] = {
    "ref": lambda text: f"no-such-{text}",
    "image": lambda text: f"{text}!",
    "canary": lambda text: f"{text};",
    "env": lambda text: f"no-such-{text}",
    "profile": lambda text: f"no-such-{text}",
    "config": lambda text: f"missing/{text}",
    "instance": lambda text: f"i-{text}!",
    "to": lambda text: f"-{text}",
    "app": lambda text: f"{text}!",
    "output": lambda text: f"{text}!",
    "limit": lambda text: f"{text}!",
    "rate": lambda text: f"{text}!",
    "name": lambda text: f"{text}!",
}
