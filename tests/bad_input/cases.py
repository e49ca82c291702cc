"""A piece of bad input, and what a person may expect of the answer to it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.bad_input.terminal import SLOW_SECONDS, Project, Said

LONGEST_ANSWER = 20_000
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Case:
    """Words to type, with a file or variables that make them wrong; `names` are what the answer must name one of."""

    words: tuple[str, ...]
    text: bytes | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    file: str = ""

    def __str__(self) -> str:
        parts = [" ".join(("shipit", *map(ascii, self.words)))[:200]]
        parts += [f"{key}={value!a}" for key, value in self.variables.items()]
        return "  ".join([*parts, *([f"shipit.yml: {self.text[:400]!r}"] if self.text is not None else [])])


def complaints(case: Case, project: Project) -> list[str]:
    """What is wrong with the answer to this case; nothing when it was refused as it should be."""
    before = project.files()
    said = project.run(case.words, case.text, case.variables)
    found = [text for text, is_so in _FAULTS.items() if is_so(case, said)]
    if project.files() != before:
        found.append(f"made files: {project.files()}")
        project.reset()
    return [f"{text}: {said.code} {said.touched} {said.all[-1500:]}" for text in found]


def _names_it(case: Case, said: Said) -> bool:
    return not case.names or any(name in said.err for name in case.names)


def _has_its_parts(said: Said) -> bool:
    return said.err.startswith("error: ") and "\n  next: " in said.err


_FAULTS: dict[str, Callable[[Case, Said], bool]] = {
    "hangs": lambda case, said: said.code == -2 or said.seconds > SLOW_SECONDS,
    "touched something outside before it was refused": lambda case, said: bool(said.touched),
    "not refused": lambda case, said: said.code not in (2, 5, -1, -2),
    "a traceback": lambda case, said: "Traceback" in said.all,
    "a bug in shipit": lambda case, said: "bug in shipit" in said.all,
    "not in parts": lambda case, said: said.code in (2, 5) and not _has_its_parts(said),
    "does not name it": lambda case, said: said.code in (2, 5) and not _names_it(case, said),
    "does not name the file": lambda case, said: said.code in (2, 5) and case.file not in said.err,
    "steers the terminal": lambda case, said: bool(_STEERING.search(said.all)),
    "a flood": lambda case, said: len(said.all) > LONGEST_ANSWER,
    "says it on standard output": lambda case, said: said.code in (2, 5) and bool(said.out),
}
