"""What all commands share: their options, the shop they work in, and how signals stop them."""

from __future__ import annotations

import os
import re
import signal
import sys
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from shipit.errors import UsageError

if TYPE_CHECKING:
    from shipit.clock import SystemClock
    from shipit.events import Ended, Listener
    from shipit.wiring import Shop


class Format(StrEnum):
    """How a command prints what it has to say."""

    HUMAN = "human"
    JSON = "json"


Env = Annotated[
    str | None, typer.Option("--env", "-e", help="Environment of shipit.yml, or `sandbox`.", show_default=False)
]
ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Path of shipit.yml; looked for upwards by default.", show_default=False),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="`human`, or `json` for programs.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show all of Packer's output.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Profile = Annotated[str | None, typer.Option("--profile", help="AWS profile.", show_default=False)]
Ref = Annotated[str, typer.Argument(help="Git tag, branch or commit.", metavar="REF", show_default=False)]
Canary = Annotated[
    str | None,
    typer.Option("--canary", help='Stages: "5% 30s, 25% 1m by errors, 100%"; also manual, ramp.', show_default=False),
]


# Parts of the shop that a launch needs.
LAUNCHED = ("traffic", "launch_digest")


def shop_for(hear: Listener, env: str | None, config: Path | None, profile: str | None = None) -> Shop:
    """The shop that a command works in; from here on, SIGINT and SIGTERM stop it between two steps."""
    from shipit.clock import SystemClock
    from shipit.wiring import open_shop

    check_given(env=env, profile=profile)
    clock = SystemClock()
    stop_on_signals(clock)
    return open_shop(hear, clock, env=env, path=config, profile=profile)


def stop_on_signals(clock: SystemClock) -> None:
    """The first signal ends the wait or the step and then the command; a second one ends the process at once.

    Set explicitly, since a background job of a shell inherits SIGINT ignored.
    """
    seen: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        if seen:
            os._exit(128 + number)
        seen.append(number)
        clock.stop()
        print("\nstopping after this step; once more to end at once", file=sys.stderr)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def check_wanted(ref: str | None, image: str | None, canary: str | None, command: str) -> None:
    """Raises `UsageError` unless it is a version or an image, not both and not none, and the stages can be read."""
    from shipit.schedule import parse_schedule

    if canary is not None:
        parse_schedule(canary)
    if (ref is None) == (image is None):
        why = "both are given" if ref else "neither is given"
        raise UsageError("give a version or --image", why, f"shipit {command} v42")
    if image is not None and not re.fullmatch(r"ami-[0-9a-f]+", image):
        raise UsageError(f"{image!r} is not the id of an AMI", "it begins with ami-", "shipit status lists images")


def check_given(**options: str | None) -> None:
    """Raises `UsageError` for an option that is there but empty: meaning the default by it is a guess.

    `--env "$TARGET"` with an unset variable would go to another environment than its author had in mind.
    """
    for name, text in options.items():
        if text is not None and not text.strip():
            raise UsageError(f"--{name} is empty", "is the variable set that it comes from?", f"leave --{name} out")


def check_here(shop: Shop, ref: str | None, *parts: str) -> None:
    """Raises for what is wrong on this machine before AWS is asked: the version, and `parts` of the shop, such as a listener
    that is not named or a file that is not there.
    """
    if ref is not None:
        shop.repository.resolve(ref)
    for part in parts:
        getattr(shop, part)


def check_stages(shop: Shop, canary: str | None) -> None:
    """Raises `UsageError` where --canary names a gate that shipit.yml does not have."""
    from shipit.gate import refuse_unknown
    from shipit.gates import names
    from shipit.schedule import parse_schedule

    named = {name for stage in parse_schedule(canary) for name in stage.gates} if canary else set()
    if named:
        refuse_unknown(sorted(named), names(shop.config.settings.gates))


def confirm(question: str, yes: bool) -> None:
    """Asks on a terminal; without one, and without --yes, it is a usage error rather than a guess."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} needs an answer", "there is no terminal to ask on", "add --yes")
    if not typer.confirm(question):
        raise typer.Exit(1)


def finish(ended: Ended) -> None:
    """Leaves with the exit code of the ending."""
    raise typer.Exit(ended.ending.exit_code)
