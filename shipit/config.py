"""shipit.yml -> Config. A file that was checked before is not checked again: what came out is kept by content.

Checking costs more than a whole rollback otherwise takes, since it imports a YAML reader and pydantic. The key of what is
kept covers the bytes of the file, the environment, its built-in overlay and shipit's own rules, so it cannot be stale.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from shipit import __version__
from shipit.errors import UsageError

if TYPE_CHECKING:
    from shipit.settings import Settings

FILE_NAME = "shipit.yml"
_RULES = ("settings.py", "section.py", "checked.py", "schedule.py")
_SECTION = "section"
KEPT_FILES = 32
LARGEST_BYTES = 1_000_000


class Values(SimpleNamespace):
    """One section of checked settings: the attributes of the class of that name in `shipit.settings`, and no more."""


@dataclass(frozen=True)
class Config:
    """The settings of one environment. `folder` is where shipit.yml lies: relative paths in it start there."""

    settings: Settings
    env: str
    folder: Path
    path: Path

    @property
    def app(self) -> str:
        return self.settings.app


def find_config(start: Path) -> Path:
    """The nearest shipit.yml from `start` upwards, not beyond the root of the git repository."""
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
        if (folder / ".git").exists():
            break
    what = f"no {FILE_NAME} in {start} or above it"
    why = "it says what to release, and where"
    raise UsageError(what, why, f"write one with `shipit init`, or name it: --config PATH/{FILE_NAME}")


def load_config(path: Path, env: str | None = None, builtin: Mapping[str, Mapping[str, Any]] | None = None) -> Config:
    """Reads and checks the file for one environment.

    `env` None means: the only environment of the file, or `production` when it has none. `builtin` are overlays of
    environments that need no entry in the file; the file's own entry is laid over them.
    Raises `UsageError` that lists every complaint with line, column, key, what was expected and an example.
    """
    text = _read(path)
    kept = _cache_file(text, path, env, builtin or {})
    found = _recall(kept)
    if found is None:
        from shipit.checked import check_config

        settings, chosen = check_config(path, text, env, builtin or {})
        found = {"env": chosen, "settings": _encoded(settings)}
        _keep(kept, found)
    return Config(cast("Settings", _decoded(found["settings"])), found["env"], path.parent.resolve(), path)


def as_document(values: object) -> Any:
    """Settings, or a section of them, as plain JSON values."""
    if isinstance(values, SimpleNamespace):
        return {key: as_document(value) for key, value in vars(values).items()}
    if isinstance(values, dict):
        return {key: as_document(value) for key, value in values.items()}
    return list(values) if isinstance(values, tuple) else values


def _read(path: Path) -> bytes:
    """What is no file is not opened: a pipe would wait for its writer, and a device may never end."""
    name = f"--config PATH/{FILE_NAME}"
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} cannot be read", "it is a folder, a pipe or a device, not a file", name)
        with path.open("rb") as file:
            text = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(
            f"there is no file {path}", "shipit.yml says what to release, and where", "shipit init"
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read", str(error), name) from error
    if len(text) > LARGEST_BYTES:
        raise UsageError(f"{path} is too large", f"no {FILE_NAME} has more than {LARGEST_BYTES} bytes", name)
    return text


def _cache_file(text: bytes, path: Path, env: str | None, builtin: Mapping[str, Any]) -> Path:
    here = Path(__file__).parent
    rules = [path.stat() for path in (*(here / name for name in _RULES), *sorted((here / "gates").glob("*.py")))]
    facts = [__version__, path.name, env, builtin, [(rule.st_mtime_ns, rule.st_size) for rule in rules]]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode() + text).hexdigest()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "shipit" / f"config-{key[:32]}.json"


def _recall(kept: Path) -> dict[str, Any] | None:
    """None when it is not there, or not readable: then the file is checked again."""
    try:
        found: dict[str, Any] = json.loads(kept.read_text())
    except (OSError, ValueError):
        return None
    return found


def _keep(kept: Path, found: Mapping[str, Any]) -> None:
    """Written aside and moved, so that nobody reads half of it; a home that cannot be written costs only time."""
    draft = kept.with_suffix(f".{os.getpid()}")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(found))
        draft.replace(kept)
        _prune(kept.parent)
    except OSError:
        draft.unlink(missing_ok=True)


def _prune(folder: Path) -> None:
    """Keeps the newest: each edit of the file leaves one behind that is never asked for again."""
    files = sorted(folder.glob("config-*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in files[KEPT_FILES:]:
        file.unlink(missing_ok=True)


def _encoded(value: Any) -> Any:
    """JSON in which a section can be told from a mapping that the user wrote."""
    fields = getattr(type(value), "model_fields", None)
    if fields is not None:
        return {_SECTION: {name: _encoded(getattr(value, name)) for name in fields}}
    return value if not isinstance(value, dict) else {"mapping": {key: _encoded(one) for key, one in value.items()}}


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, dict):
        return value
    if _SECTION in value:
        return Values(**{name: _decoded(inner) for name, inner in value[_SECTION].items()})
    return {key: _decoded(one) for key, one in value["mapping"].items()}
