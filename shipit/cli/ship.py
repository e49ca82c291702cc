"""Commands that change who serves: release, stage, rollback, retire."""

from __future__ import annotations

from typing import Annotated

import typer

from shipit.cli.common import (
    Canary,
    ConfigPath,
    Env,
    Format,
    Output,
    Profile,
    Verbose,
    Yes,
    check_wanted,
    confirm,
    finish,
    shop_for,
)

OptionalRef = Annotated[
    str | None, typer.Argument(help="Git tag, branch or commit.", metavar="REF", show_default=False)
]
ImageOption = Annotated[str | None, typer.Option("--image", help="Use this AMI, bake nothing.", show_default=False)]


def add_to(app: typer.Typer) -> None:
    app.command()(release)
    app.command()(stage)
    app.command()(rollback)
    app.command()(retire)


def release(
    ref: OptionalRef = None,
    image: ImageOption = None,
    canary: Canary = None,
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
    verbose: Verbose = False,
) -> None:
    """Bake a version, launch its fleet, shift traffic to it, keep the old fleet warm."""
    _ship(ref, image, canary, False, (env, config, profile, output, verbose))


def stage(
    ref: OptionalRef = None,
    image: ImageOption = None,
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
    verbose: Verbose = False,
) -> None:
    """Bake a version and make its fleet healthy at 0 %, open to requests with the preview header."""
    _ship(ref, image, None, True, (env, config, profile, output, verbose))


def rollback(
    to: Annotated[
        str | None,
        typer.Option("--to", help="Version, commit or image; the one before by default.", show_default=False),
    ] = None,
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
) -> None:
    """Make an earlier version serve again: one listener write while its fleet is alive."""
    from shipit import operations
    from shipit.cli.output import listener_for

    finish(operations.rollback(shop_for(listener_for(output), env, config, profile), to))


def retire(
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
    yes: Yes = False,
) -> None:
    """Delete the parked fleets now; rolling back is then no longer instant."""
    from shipit import operations
    from shipit.cli.output import listener_for

    shop = shop_for(listener_for(output), env, config, profile)
    confirm("Give up the instant way back?", yes)
    finish(operations.retire(shop))


def _ship(
    ref: str | None,
    image: str | None,
    canary: str | None,
    staged: bool,
    common: tuple[Env, ConfigPath, Profile, Format, bool],
) -> None:
    from shipit import operations
    from shipit.cli.output import listener_for

    check_wanted(ref, image, canary, "stage" if staged else "release")
    env, config, profile, output, verbose = common
    shop = shop_for(listener_for(output, verbose=verbose), env, config, profile)
    finish(operations.release(shop, operations.Wanted(ref, image, canary, staged)))
