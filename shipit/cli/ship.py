"""Commands that change who serves: release, stage, resume, rollback, abort, retire."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shipit.cli.common import (
    LAUNCHED,
    Canary,
    ConfigPath,
    Env,
    Format,
    Output,
    Profile,
    Verbose,
    Yes,
    check_given,
    check_here,
    check_stages,
    check_wanted,
    confirm,
    finish,
    shop_for,
)
from shipit.errors import UsageError

if TYPE_CHECKING:
    from shipit.choice import Manner, Wanted
    from shipit.wiring import Shop

OptionalRef = Annotated[
    str | None, typer.Argument(help="Git tag, branch or commit.", metavar="REF", show_default=False)
]
ImageOption = Annotated[str | None, typer.Option("--image", help="Use this AMI, bake nothing.", show_default=False)]
Wait = Annotated[
    str | None,
    typer.Option("--wait", help="Queue so long behind a release that runs, like 10m.", show_default=False),
]
AcceptDrift = Annotated[
    bool, typer.Option("--accept-drift", help="Go on although somebody else has moved the traffic since.")
]
DespiteFreeze = Annotated[bool, typer.Option("--despite-freeze", help="Go on although the environment is frozen.")]
KeepFailed = Annotated[bool, typer.Option("--keep-failed", help="Keep a failed fleet, without traffic, to look at it.")]
NoAutoRollback = Annotated[
    bool,
    typer.Option("--no-auto-rollback", help="On failure leave traffic where it is and wait for a person (exit 6)."),
]
HandOver = Annotated[
    bool,
    typer.Option("--hand-over", help="End where the schedule waits for a person (exit 6): shipit promote goes on."),
]


Smoke = Annotated[
    bool, typer.Option("--smoke", help="Try it with the gates of kind probe and command before it gets a share.")
]


def add_to(app: typer.Typer) -> None:
    app.command()(release)
    app.command()(stage)
    app.command()(resume)
    app.command()(rollback)
    app.command()(abort)
    app.command()(retire)


def release(
    ref: OptionalRef = None,
    image: ImageOption = None,
    canary: Canary = None,
    wait: Wait = None,
    accept_drift: AcceptDrift = False,
    despite_freeze: DespiteFreeze = False,
    keep_failed: KeepFailed = False,
    no_auto_rollback: NoAutoRollback = False,
    hand_over: HandOver = False,
    smoke: Smoke = False,
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
    verbose: Verbose = False,
) -> None:
    """Bake a version, launch its fleet, shift traffic to it, keep the old fleet warm."""
    from shipit.choice import Manner, Wanted

    manner = Manner(_seconds(wait), accept_drift, despite_freeze, keep_failed, not no_auto_rollback, hand_over, smoke)
    wanted = Wanted(ref, image, canary)
    _ship("release", wanted, manner, _shop(env, config, profile, output, verbose=verbose))


def stage(
    ref: OptionalRef = None,
    image: ImageOption = None,
    wait: Wait = None,
    accept_drift: AcceptDrift = False,
    despite_freeze: DespiteFreeze = False,
    keep_failed: KeepFailed = False,
    smoke: Smoke = False,
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
    verbose: Verbose = False,
) -> None:
    """Bake a version and make its fleet healthy at 0 %, open to requests with the preview header."""
    from shipit.choice import Manner, Wanted

    manner = Manner(_seconds(wait), accept_drift, despite_freeze, keep_failed, smoke=smoke)
    wanted = Wanted(ref, image, None, staged=True)
    _ship("stage", wanted, manner, _shop(env, config, profile, output, verbose=verbose))


def resume(
    wait: Wait = None,
    accept_drift: AcceptDrift = False,
    despite_freeze: DespiteFreeze = False,
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
    verbose: Verbose = False,
) -> None:
    """Go on with what was stopped or whose process died, to the same end."""
    from shipit import operations
    from shipit.choice import Manner

    manner = Manner(_seconds(wait), accept_drift, despite_freeze)
    finish(operations.resume(_shop(env, config, profile, output, verbose=verbose)(), manner))


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
    """Make an earlier version serve again: one listener write while its fleet is alive; waits for nobody."""
    from shipit import operations

    _check_target(to)
    finish(operations.rollback(_shop(env, config, profile, output)(), to))


def abort(
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
) -> None:
    """Send everything back to what served before the release that is under way; waits for nobody."""
    from shipit import operations

    finish(operations.abort(_shop(env, config, profile, output)()))


def retire(
    wait: Wait = None,
    accept_drift: AcceptDrift = False,
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
    yes: Yes = False,
) -> None:
    """Delete the parked fleets now; rolling back is then no longer instant."""
    from shipit import operations
    from shipit.choice import Manner

    manner = Manner(_seconds(wait), accept_drift)
    shop = _shop(env, config, profile, output)()
    confirm("Give up the instant way back?", yes)
    finish(operations.retire(shop, manner))


def _check_target(to: str | None) -> None:
    """Raises `UsageError` for what no version is ever called; an empty one must not mean the version before."""
    check_given(to=to)
    if to and (to.startswith("-") or not to.isprintable()):
        why = "it begins with a hyphen, or holds control characters"
        raise UsageError(f"{to!r} is not a version, commit or image", why, "shipit status")


def _seconds(wait: str | None) -> float:
    from shipit.schedule import parse_duration

    return parse_duration(wait) if wait is not None else 0.0


def _shop(
    env: str | None, config: Path | None, profile: str | None, output: Format, *, verbose: bool = False
) -> Callable[[], Shop]:
    """How to open the shop, once the rest of the command line has been found to be right."""
    from shipit.cli.output import listener_for

    return lambda: shop_for(listener_for(output, verbose=verbose), env, config, profile)


def _ship(command: str, wanted: Wanted, manner: Manner, shop: Callable[[], Shop]) -> None:
    from shipit import operations

    check_wanted(wanted.ref, wanted.image_id, wanted.schedule, command)
    opened = shop()
    check_stages(opened, wanted.schedule)
    check_here(opened, wanted.ref, *LAUNCHED)
    finish(operations.release(opened, wanted, manner))
