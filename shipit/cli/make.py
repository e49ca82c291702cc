"""Commands before traffic: init, bake, plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shipit.cli.common import (
    LAUNCHED,
    Canary,
    ConfigPath,
    Env,
    Format,
    Output,
    Profile,
    Ref,
    Verbose,
    check_here,
    check_stages,
    check_wanted,
    finish,
    shop_for,
)
from shipit.errors import UsageError


def add_to(app: typer.Typer) -> None:
    app.command()(init)
    app.command()(bake)
    app.command()(plan)


def init(
    name: Annotated[
        str | None, typer.Option("--app", help="Name of the app; the folder's by default.", show_default=False)
    ] = None,
    packer: Annotated[bool, typer.Option("--packer", help="Copy the Packer template for editing.")] = False,
    folder: Annotated[Path, typer.Argument(help="Folder of the app.", show_default=False)] = Path(),
) -> None:
    """Write a shipit.yml to start from; never over an existing one."""
    from shipit.setup import copy_packer_template, write_config

    if not _is_folder(folder):
        raise UsageError(
            f"there is no folder {str(folder)!r}", "shipit.yml goes into the folder of an app", f"mkdir {folder}"
        )
    typer.echo(f"wrote {copy_packer_template(folder) if packer else write_config(folder, name)}")


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def bake(
    ref: Ref,
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
    verbose: Verbose = False,
) -> None:
    """Turn a commit into an AMI, or find the AMI that already is that commit."""
    from shipit import operations
    from shipit.cli.output import listener_for

    shop = shop_for(listener_for(output, verbose=verbose), env, config, profile)
    check_here(shop, ref)
    # Made before the bake begins, so that a profile or an endpoint that cannot be is a usage error, not a failed bake.
    shop.session.client("ec2")
    finish(operations.bake(shop, ref))


def plan(
    ref: Annotated[str | None, typer.Argument(help="Git tag, branch or commit.", show_default=False)] = None,
    image: Annotated[str | None, typer.Option("--image", help="An AMI instead.", show_default=False)] = None,
    canary: Canary = None,
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
) -> None:
    """Show the steps that a release would take; change nothing."""
    from shipit import operations
    from shipit.choice import Wanted
    from shipit.cli.documents import plan_document, plan_text

    check_wanted(ref, image, canary, "plan")
    shop = shop_for(lambda event: None, env, config, profile)
    check_stages(shop, canary)
    check_here(shop, ref, *LAUNCHED)
    goal, steps = operations.plan(shop, Wanted(ref, image, canary))
    typer.echo(plan_document(goal, steps) if output is Format.JSON else plan_text(goal, steps))
