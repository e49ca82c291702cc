"""The Packer template: the project's own or the built-in one, rendered strictly into a folder that Packer can run.

`shipit init` copies the built-in folder for editing. A template sees the names of `Inputs`; the `scripts` folder beside
it is copied along, so that `${path.root}/scripts/…` works.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from shipit.bake.escape import environment
from shipit.bake.files import data_path
from shipit.config import Config
from shipit.errors import ShipitError, UsageError
from shipit.model import Version

TEMPLATE = "shipit.pkr.hcl.j2"
PLUGINS = "plugins.pkr.hcl.j2"


@dataclass(frozen=True)
class Inputs:
    """What a template may use, besides `app`, `env`, `bake` and `run` from shipit.yml.

    `modern` is true for Packer 1.7 and later. `bundle` is the tar that provision.sh unpacks, `manifest` where the
    manifest post-processor must write, `mark` the tag that tells leftovers, `image_name` the name that AWS keeps
    unique.
    """

    modern: bool
    version: Version
    source_image: str
    fingerprint: str
    image_name: str
    mark: str
    bundle: str
    manifest: str
    region: str
    endpoint: str | None
    who: str


def stand_ins(source_image: str) -> Inputs:
    """Inputs for the fingerprint: only what decides the content of the image is real.

    Who bakes which version name where, and with which Packer, must not make the same tree another image.
    """
    version = Version("version", "0" * 40)
    return Inputs(
        True,
        version,
        source_image,
        "fingerprint",
        "image-name",
        "mark",
        "bundle.tar",
        "manifest.json",
        "region",
        None,
        "who",
    )


@dataclass(frozen=True)
class Template:
    """A Packer template and the folder it lies in."""

    path: Path

    @property
    def folder(self) -> Path:
        return self.path.parent

    def render(self, config: Config, inputs: Inputs) -> str:
        """The template as HCL. Raises `UsageError` with the line that does not render."""
        return render_text(self.path, _names(config, inputs))

    def write(self, config: Config, inputs: Inputs, into: Path) -> None:
        """Renders it into a folder, with the scripts; the plugins' versions only for a Packer that knows them."""
        for name, path in self.files().items():
            target = into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        (into / self.path.name.removesuffix(".j2")).write_text(self.render(config, inputs), encoding="utf-8")
        plugins = self.folder / PLUGINS
        if inputs.modern:
            source = plugins if plugins.is_file() else data_path("packer", PLUGINS)
            (into / PLUGINS.removesuffix(".j2")).write_text(
                render_text(source, _names(config, inputs)), encoding="utf-8"
            )

    def files(self) -> Mapping[str, Path]:
        """What Packer finds under `${path.root}`: the built-in scripts, the template's own `scripts` over them."""
        return {**_scripts(data_path("packer")), **_scripts(self.folder)}


def _scripts(folder: Path) -> dict[str, Path]:
    found = sorted(path for path in (folder / "scripts").rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path for path in found if "__pycache__" not in path.parts}


def choose_template(config: Config) -> Template:
    """`bake.template`, else `packer/shipit.pkr.hcl.j2` beside shipit.yml, else the built-in one."""
    wanted = config.settings.bake.template
    if wanted is None:
        own = config.folder / "packer" / TEMPLATE
        return Template(own if own.is_file() else data_path("packer", TEMPLATE))
    path = config.folder / wanted
    if not path.is_file():
        raise UsageError(
            f"there is no Packer template {path}", "shipit.yml names it in bake.template", "shipit init --packer"
        )
    return Template(path)


def render_text(path: Path, names: Mapping[str, Any]) -> str:
    """A Jinja file with these names. Raises `UsageError` with file and line."""
    try:
        return environment().from_string(path.read_text(encoding="utf-8")).render(names)
    except jinja2.TemplateSyntaxError as error:
        raise _does_not_render(f"{path}:{error.lineno}", str(error)) from error
    except jinja2.TemplateError as error:
        raise _does_not_render(f"{path}:{_line_of(error)}", str(error)) from error
    except ShipitError as error:
        raise UsageError(f"{path}:{_line_of(error)}: {error.what}", error.why, error.next) from error


def _does_not_render(where: str, why: str) -> UsageError:
    return UsageError(f"{where}: the template does not render", why, "docs/bake.md lists the names and filters")


def _names(config: Config, inputs: Inputs) -> dict[str, Any]:
    settings = config.settings
    names = {field.name: getattr(inputs, field.name) for field in dataclasses.fields(inputs)}
    return {"app": settings.app, "env": config.env, "bake": settings.bake, "run": settings.run, **names}


def _line_of(error: Exception) -> int:
    """The line of the template: Jinja gives its generated code the template's line numbers."""
    line, traceback = 0, error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == "<template>":
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line
