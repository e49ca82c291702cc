"""`shipit init`: a shipit.yml to start from, and the Packer template for those who want their own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from shipit import naming
from shipit.bake.files import data_path
from shipit.config import FILE_NAME
from shipit.errors import UsageError
from shipit.settings import APP_NAME, MEANINGS

PACKER_TEMPLATE = "packer/shipit.pkr.hcl.j2"


def write_config(folder: Path, app: str | None) -> Path:
    """Writes shipit.yml for an app of that name (the folder's by default). Raises `UsageError` when there is one."""
    target = folder / FILE_NAME
    name = _app_name(app, folder)
    text = data_path("templates", "init.yml").read_text().replace("APP_NAME", _as_yaml(name))
    _write_new(target, text)
    return target


def copy_packer_template(folder: Path) -> Path:
    """Copies the built-in template to `packer/` of the app, where it wins over the built-in one."""
    target = folder / PACKER_TEMPLATE
    if target.exists():
        raise UsageError(f"{target} exists already", "it may have been edited", f"remove it first: rm {target}")
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(data_path(*PACKER_TEMPLATE.split("/")), target)
    return target


def _app_name(app: str | None, folder: Path) -> str:
    """The given name if it can be one; else what can be made of the folder's."""
    if app is not None:
        if not re.fullmatch(APP_NAME, app):
            raise UsageError(
                f"{app!r} cannot be the name of an app", f"it must be {MEANINGS[APP_NAME]}", "shipit init --app hello"
            )
        return app
    name = naming.slug(folder.resolve().name).lstrip("-0123456789")[:31].rstrip("-")
    return name or "app"


def _as_yaml(name: str) -> str:
    """A name that YAML, of this version or an earlier one, would read as something else stands in quotes."""
    return f'"{name}"' if name in ("null", "true", "false", "yes", "no", "on", "off", "y", "n") else name


def _write_new(target: Path, text: str) -> None:
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(
            f"{target} exists already", "it is not overwritten", f"edit it, or remove it first: rm {target}"
        ) from None
    except OSError as error:
        raise UsageError(f"{target} cannot be written", str(error)) from error
