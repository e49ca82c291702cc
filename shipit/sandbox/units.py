"""systemd unit files, as far as a service of a web app needs them.

`load` reads a unit by name from the usual folders, with its drop-ins, and answers with a `Unit`. Keys that are not
listed there are ignored, as are all sections but [Unit] and [Service]. Format: systemd.syntax(7), systemd.service(5).
"""

from __future__ import annotations

import re
import shlex
import socket
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system")
WANTED = "etc/systemd/system/multi-user.target.wants"

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")
_SPECIFIER = re.compile(r"%(.)")
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")
_SECONDS = {"": 1, "s": 1, "sec": 1, "ms": 0.001, "us": 1e-6, "m": 60, "min": 60, "h": 3600, "hr": 3600}
_TRUE = {"1", "yes", "true", "on"}

Sections = Mapping[str, Mapping[str, Sequence[str]]]


class UnitError(Exception):
    """There is no such unit, or it says nothing that could be run."""


@dataclass(frozen=True)
class Command:
    """One ExecStart line. `may_fail` is its `-` prefix; variables in `words` are still to be replaced (`expand`)."""

    words: Sequence[str]
    may_fail: bool = False

    def expand(self, environment: Mapping[str, str]) -> list[str]:
        """The argument list. A word that is just `$NAME` becomes as many words as its value has, as in systemd."""
        return [part for word in self.words for part in _expand_word(word, environment)]


@dataclass(frozen=True)
class Unit:
    """What a [Service] says. `after` and `before` name units; `environment_files` keep their `-` (may be missing)."""

    name: str
    description: str
    kind: str
    start: Sequence[Command]
    start_pre: Sequence[Command]
    environment: Mapping[str, str]
    environment_files: Sequence[str]
    working_directory: str | None
    user: str | None
    group: str | None
    restart: str
    restart_seconds: float
    stop_seconds: float
    start_limit_seconds: float
    start_limit_burst: int
    remain_after_exit: bool
    pid_file: str | None
    runtime_directories: Sequence[str] = field(default_factory=tuple)
    after: frozenset[str] = frozenset()
    before: frozenset[str] = frozenset()
    condition_paths: Sequence[str] = field(default_factory=tuple)

    def unmet_condition(self) -> str | None:
        """The first ConditionPathExists= that does not hold (systemd.unit(5): `!` negates); None when all do."""
        for path in self.condition_paths:
            if Path(path.lstrip("!")).exists() == path.startswith("!"):
                return f"ConditionPathExists={path}"
        return None

    def full_environment(self) -> dict[str, str]:
        """What its processes see: systemd's own defaults, Environment=, then the files. Raises `UnitError`."""
        environment = {"PATH": _DEFAULT_PATH, "LANG": "C.UTF-8", **self.environment}
        for path in self.environment_files:
            environment |= _read_environment_file(path)
        return environment


def load(name: str, root: Path = Path("/")) -> Unit:
    """Reads a unit and its drop-ins. Raises `UnitError`."""
    path = find(name, root)
    if path is None:
        raise UnitError(f"Unit {name} not found.")
    drop_ins = [file for folder in FOLDERS for file in sorted((root / folder[1:] / f"{name}.d").glob("*.conf"))]
    return parse(name, "\n".join(file.read_text() for file in [path, *drop_ins]))


def find(name: str, root: Path = Path("/")) -> Path | None:
    """The file that defines the unit; for `app@blue.service` that of `app@.service`."""
    template = re.sub(r"@[^.]*\.", "@.", name)
    candidates = [root / folder[1:] / file for file in dict.fromkeys((name, template)) for folder in FOLDERS]
    return next((path for path in candidates if path.is_file()), None)


def enabled(root: Path = Path("/")) -> list[str]:
    """Names of the services that start at boot."""
    return sorted(link.name for link in (root / WANTED).glob("*.service"))


def parse(name: str, text: str) -> Unit:
    sections = _sections(text, _specifiers(name))
    unit, service = sections["Unit"], sections["Service"]
    start = _commands(service["ExecStart"])
    if not start:
        raise UnitError(f"Unit {name} has no ExecStart= setting.")
    return Unit(
        name=name,
        description=_last(unit, "Description", name),
        kind=_last(service, "Type", "simple"),
        start=start,
        start_pre=_commands(service["ExecStartPre"]),
        environment=dict(pair.split("=", 1) for line in service["Environment"] for pair in _words(line) if "=" in pair),
        environment_files=tuple(service["EnvironmentFile"]),
        working_directory=_last(service, "WorkingDirectory", "") or None,
        user=_last(service, "User", "") or None,
        group=_last(service, "Group", "") or None,
        restart=_last(service, "Restart", "no"),
        restart_seconds=seconds(_last(service, "RestartSec", "100ms")),
        stop_seconds=seconds(_last(service, "TimeoutStopSec", "90")),
        start_limit_seconds=seconds(_last(unit, "StartLimitIntervalSec", "10")),
        start_limit_burst=int(_last(unit, "StartLimitBurst", "5")),
        remain_after_exit=_last(service, "RemainAfterExit", "no").lower() in _TRUE,
        pid_file=_last(service, "PIDFile", "") or None,
        runtime_directories=tuple(" ".join(service["RuntimeDirectory"]).split()),
        after=frozenset(" ".join(unit["After"]).split()),
        before=frozenset(" ".join(unit["Before"]).split()),
        condition_paths=tuple(unit["ConditionPathExists"]),
    )


def seconds(text: str) -> float:
    """A time span: `5`, `100ms`, `1min 30s`, `infinity`."""
    if text == "infinity":
        return float("inf")
    return sum(float(number) * _SECONDS.get(unit, 1) for number, unit in _TIME.findall(text))


def _sections(text: str, specifiers: Mapping[str, str]) -> Sections:
    """Every value of every key, in order; an empty assignment forgets those before it."""
    found: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    section = ""
    for line in _logical_lines(text):
        key, separator, value = (part.strip() for part in line.partition("="))
        if line.startswith("["):
            section = line.strip("[]")
        elif separator and value:
            found[section][key].append(_SPECIFIER.sub(lambda match: specifiers.get(match[1], match[0]), value))
        elif separator:
            found[section][key].clear()
    return found


def _logical_lines(text: str) -> Iterator[str]:
    """Lines without comments and blanks, those that end in a backslash joined with the next."""
    pending = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith(("#", ";")) or not (line or pending):
            continue
        pending += line.removesuffix("\\")
        if not line.endswith("\\"):
            yield pending
            pending = ""
        else:
            pending += " "


def _specifiers(name: str) -> Mapping[str, str]:
    stem = name.rsplit(".", 1)[0]
    prefix, _, instance = stem.partition("@")
    common = {"n": name, "N": stem, "p": prefix, "i": instance, "I": instance, "H": socket.gethostname()}
    return common | {"h": "/root", "t": "/run", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "%": "%"}


def _commands(lines: Sequence[str]) -> list[Command]:
    return [_command(line) for line in lines]


def _command(line: str) -> Command:
    """`-` means that failure is fine; `+`, `!` and `:` do not matter here; after `@` the second word is argv[0],
    dropped.
    """
    bare = line.lstrip("-@+!:")
    prefixes = line[: len(line) - len(bare)]
    words = _words(bare)
    return Command(words[:1] + words[2:] if "@" in prefixes else words, may_fail="-" in prefixes)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def _expand_word(word: str, environment: Mapping[str, str]) -> list[str]:
    if re.fullmatch(r"\$\w+", word):
        return environment.get(word[1:], "").split()
    replaced = _VARIABLE.sub(lambda match: environment.get(match[1] or match[2], ""), word.replace("$$", "\0"))
    return [replaced.replace("\0", "$")]


def _read_environment_file(path: str) -> dict[str, str]:
    try:
        text = Path(path.removeprefix("-")).read_text()
    except OSError as error:
        if path.startswith("-"):
            return {}
        raise UnitError(f"Failed to load environment files: {error}") from error
    pairs = (line.removeprefix("export ").partition("=") for line in _logical_lines(text))
    return {key.strip(): " ".join(_words(value)) for key, separator, value in pairs if separator}


def _last(section: Mapping[str, Sequence[str]], key: str, default: str) -> str:
    return section[key][-1] if section.get(key) else default
