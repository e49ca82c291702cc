"""User data: the script that an instance runs at its first boot. It holds what belongs to a launch, not to an image."""

from __future__ import annotations

from shipit.bake.bundle import unit_name
from shipit.bake.escape import sh
from shipit.bake.files import data_path
from shipit.bake.render import render_text
from shipit.config import Config
from shipit.errors import UsageError
from shipit.ports import Launch

LIMIT_BYTES = 16 * 1024


def render_user_data(config: Config, launch: Launch) -> str:
    """Says in /etc/shipit what this instance is, runs `fleet.user_data`, then starts the app.

    /etc/shipit/release has SHIPIT_APP, _ENV, _VERSION, _COMMIT, _FLEET and PORT, /etc/shipit/app.env has
    `run.environment`; the app's unit reads both. Raises `UsageError` above EC2's limit of 16 KB (RunInstances, before
    base64).
    """
    names = {
        "fleet": launch.name,
        "app_env": _environment_file(config.settings.run.environment),
        "release_env": _environment_file(_release(config, launch)),
        "script": _script(config),
        "unit_name": unit_name(config.app),
    }
    text = render_text(data_path("templates", "user-data.sh.j2"), names)
    size, script = len(text.encode()), config.settings.fleet.user_data
    if size > LIMIT_BYTES:
        raise UsageError(
            f"the user data of {launch.name} has {size} bytes",
            f"EC2 takes {LIMIT_BYTES}; it holds run.environment and {script or 'no script'}",
            "bake the script into the image (bake.scripts) and keep only a call of it",
        )
    return text


def _release(config: Config, launch: Launch) -> dict[str, str]:
    return {
        "SHIPIT_APP": config.app,
        "SHIPIT_ENV": config.env,
        "SHIPIT_VERSION": launch.version.name,
        "SHIPIT_COMMIT": launch.version.commit,
        "SHIPIT_FLEET": launch.name,
        "PORT": str(config.settings.fleet.port),
    }


def _environment_file(values: dict[str, str]) -> str:
    """Read by systemd (EnvironmentFile, systemd.exec(5)) and by shells alike."""
    return "".join(f"{key}={sh(value)}\n" for key, value in values.items())


def _script(config: Config) -> str:
    name = config.settings.fleet.user_data
    if name is None:
        return ""
    try:
        text = (config.folder / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"fleet.user_data: {name} cannot be read", str(error), f"is {config.folder / name} there?"
        ) from error
    return text if text.startswith("#!") else f"#!/bin/sh -e\n{text}"
