"""Commands that only look: status, history, logs."""

from __future__ import annotations

import re
import sys
from typing import Annotated

import typer

from shipit.cli.common import ConfigPath, Env, Format, Output, Profile, shop_for
from shipit.errors import UsageError


def add_to(app: typer.Typer) -> None:
    app.command()(status)
    app.command()(history)
    app.command()(logs)


def status(
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it anew until Ctrl-C.")] = False,
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
) -> None:
    """Who serves how much, how healthy they are, and where a rollback can go."""
    from shipit.cli.documents import status_document, status_text
    from shipit.errors import Stopped

    shop = shop_for(lambda event: None, env, config, profile)
    show = status_document if output is Format.JSON else status_text
    while True:
        text = show(shop)
        if watch and output is Format.HUMAN and sys.stdout.isatty():
            typer.echo("\x1b[2J\x1b[H", nl=False)
        typer.echo(text)
        if not watch:
            return
        try:
            shop.clock.sleep(2)
        except Stopped:
            return


def history(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many, newest first.")] = 20,
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
) -> None:
    """What was released, by whom, when, and how it ended."""
    from shipit.cli.documents import history_document, history_text

    shop = shop_for(lambda event: None, env, config, profile)
    events = shop.record.history(limit)
    typer.echo(history_document(events) if output is Format.JSON else history_text(events))


def logs(
    instance: Annotated[
        str | None,
        typer.Argument(help="Instance id; all instances of the fleets that serve by default.", show_default=False),
    ] = None,
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
) -> None:
    """What instances printed on their consoles: boot, user data, the app."""
    from shipit.aws.console import console_text

    if instance is not None and not re.fullmatch(r"i-[0-9a-f]+", instance):
        raise UsageError(
            f"{instance!r} is not the id of an instance", "it begins with i-", "shipit logs i-0123456789abcdef0"
        )
    shop = shop_for(lambda event: None, env, config, profile)
    observed = shop.engine.look()
    known = [i.id for fleet in observed.fleets.values() for i in fleet.instances]
    if instance and instance not in known:
        raise UsageError(
            f"{instance} is not an instance of {shop.config.app}",
            f"known: {', '.join(known) or 'none'}",
            "shipit status",
        )
    chosen = [instance] if instance else [i.id for fleet in observed.serving_fleets() for i in fleet.instances]
    for name in chosen:
        typer.echo(f"==> {name} <==")
        typer.echo(console_text(shop.session.client("ec2"), name))
