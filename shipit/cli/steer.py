"""Commands that steer a release that runs, from any terminal, and those that freeze an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from shipit.cli.common import ConfigPath, Env, Format, Output, Profile, finish, shop_for

if TYPE_CHECKING:
    from pathlib import Path

    from shipit.events import Ended, Steered
    from shipit.wiring import Shop


def add_to(app: typer.Typer) -> None:
    for command in (promote, pause, shift, freeze, unfreeze):
        app.command()(command)


def promote(
    full: Annotated[bool, typer.Option("--full", help="Skip every hold that is left.")] = False,
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
) -> None:
    """Go on now: end the hold, or the pause, at the present share."""
    from shipit import steering

    _done(steering.promote(_shop(env, config, profile, output), full=full))


def pause(
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
) -> None:
    """Stay at the present share until somebody promotes or aborts."""
    from shipit import steering

    _done(steering.pause(_shop(env, config, profile, output)))


def shift(
    percent: Annotated[str, typer.Argument(help="Share of the new fleet, 0 to 100.", show_default=False)],
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
) -> None:
    """Give the new fleet this share, and stay there until somebody promotes or aborts."""
    from shipit import steering
    from shipit.schedule import parse_percent

    share = parse_percent(percent)
    _done(steering.shift(_shop(env, config, profile, output), share))


def freeze(
    reason: Annotated[str, typer.Argument(help="Why; shown to everybody who is refused.", show_default=False)],
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
) -> None:
    """Refuse releases from now on; one that runs stays at its share. Rollback and abort still work."""
    from shipit import steering
    from shipit.errors import UsageError

    if not reason.strip() or not reason.isprintable() or len(reason) > 500:
        raise UsageError("the reason cannot be shown", "it is empty, too long or has control characters", "say why")
    _done(steering.freeze(_shop(env, config, profile, output), reason.strip()))


def unfreeze(
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
) -> None:
    """Allow releases again."""
    from shipit import steering

    _done(steering.unfreeze(_shop(env, config, profile, output)))


def _shop(env: str | None, config: Path | None, profile: str | None, output: Format) -> Shop:
    from shipit.cli.output import listener_for

    return shop_for(listener_for(output), env, config, profile)


def _done(event: Steered | Ended) -> None:
    from shipit.events import Ended

    if isinstance(event, Ended):
        finish(event)
