"""What Packer uploads: one tar with the app's tree, its unit, and what provision.sh must know.

Built from the commit alone, with fixed times and owners, so that the same inputs give the same bytes.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from shipit.bake.escape import sh
from shipit.bake.files import data_path
from shipit.bake.render import render_text
from shipit.config import Config
from shipit.errors import UsageError
from shipit.model import Version

# 1980-01-01: zip files, which some tools make of the tree, know nothing earlier.
_FIXED_TIME = 315_532_800


def unit_name(app: str) -> str:
    """The systemd unit of the app in every image; prefixed so that no app can replace a unit of the system."""
    return f"shipit-{app}.service"


def image_parts(config: Config) -> Mapping[str, bytes]:
    """What goes beside the tree and decides the image's content: unit, scripts' names, variables, settings."""
    bake = config.settings.bake
    settings = {"FOLDER": bake.folder, "UNIT": unit_name(config.app), "RUN_USER": config.settings.run.user}
    parts = {
        "settings.sh": _assignments(settings),
        "variables.sh": "".join(f"export {key}={sh(value)}\n" for key, value in bake.variables.items()),
        "scripts": "".join(f"{_script(name)}\n" for name in bake.scripts),
    }
    if config.settings.run.command:
        parts["app.service"] = _unit(config)
    return {name: text.encode() for name, text in sorted(parts.items())}


def write_bundle(config: Config, version: Version, tree: Path, into: Path) -> None:
    """Writes the tar; `tree` is the archive of the commit.

    Raises `UsageError` when a script is not in the commit: it would fail minutes later, on the builder.
    """
    image = {"SHIPIT_APP": config.app, "SHIPIT_COMMIT": version.commit, "SHIPIT_FOLDER": config.settings.bake.folder}
    parts = {**image_parts(config), "image": _assignments(image).encode()}
    with tarfile.open(into, "w", format=tarfile.PAX_FORMAT) as bundle:
        for name, content in parts.items():
            member = _fixed(tarfile.TarInfo(name))
            member.size = len(content)
            bundle.addfile(member, io.BytesIO(content))
        names = {member.name for member in _copy_tree(tree, bundle)}
    missing = [name for name in config.settings.bake.scripts if f"tree/{PurePosixPath(name)}" not in names]
    if missing:
        raise UsageError(
            f"bake.scripts: {missing[0]} is not in {version.name} ({version.short_commit})",
            "scripts are taken from the commit, like the rest of the app",
            f"git add {missing[0]} && git commit",
        )


def _copy_tree(tree: Path, bundle: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    yield _folder(bundle, "tree")
    with tarfile.open(tree) as archive:
        for member in archive:
            member.name = f"tree/{member.name}"
            if member.islnk():
                member.linkname = f"tree/{member.linkname}"
            bundle.addfile(_fixed(member), archive.extractfile(member) if member.isreg() else None)
            yield member


def _folder(bundle: tarfile.TarFile, name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, 0o755
    bundle.addfile(_fixed(member))
    return member


def _fixed(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The member without the traces of where and when it was made: the user's umask, the time, the owner."""
    executable = member.isdir() or member.mode & 0o100
    member.mode = 0o755 if executable else 0o644
    member.mtime, member.uid, member.gid, member.uname, member.gname = _FIXED_TIME, 0, 0, "root", "root"
    # They hold the old name, and the commit; tarfile writes those that are needed anew.
    member.pax_headers = {}
    return member


def _unit(config: Config) -> str:
    settings = config.settings
    names = {
        "app": config.app,
        "bake": settings.bake,
        "run": settings.run,
        "unit_name": unit_name(config.app),
        "low_port": settings.fleet.port < 1024,
    }
    return render_text(data_path("templates", "app.service.j2"), names)


def _script(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\n" in name:
        raise UsageError(
            f"bake.scripts: {name!r} is not a file of the app",
            "a path inside the app's folder was expected",
            "edit shipit.yml",
        )
    return str(path)


def _assignments(values: Mapping[str, str]) -> str:
    return "".join(f"{key}={sh(value)}\n" for key, value in values.items())
