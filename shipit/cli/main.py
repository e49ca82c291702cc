"""The `shipit` command: one entry, one place where errors become words and exit codes."""

from __future__ import annotations

import gc
import os
import sys
from typing import Annotated

# Importing makes many objects and no garbage: looking for it takes a quarter of the time of a short command.
gc.set_threshold(100_000, 20, 20)

import typer  # noqa: E402

from shipit import __version__  # noqa: E402
from shipit.cli import look, make, sandbox, ship  # noqa: E402
from shipit.errors import ShipitError  # noqa: E402

app = typer.Typer(
    name="shipit",
    help="Immutable-image blue/green releases on EC2: a commit becomes an image, the image a fleet, and traffic moves over.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (make, ship, look):
    group.add_to(app)
app.add_typer(sandbox.app, name="sandbox")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"shipit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Takes no part in any command; holds the options that stand before one."""


def main() -> None:
    """Runs the command line. Exit codes: 0 succeeded, 1 failed_clean, 2 usage, 3 failed_dirty, 4 shipped_dirty, 5 refused,
    6 waiting for a person, 130 stopped by a signal.
    """
    try:
        app()
    except ShipitError as error:
        if not getattr(error, "told", False):
            _complain(error)
        if os.environ.get("SHIPIT_DEBUG"):
            raise
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output has gone (`shipit history | head`): nothing left to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:
        if os.environ.get("SHIPIT_DEBUG"):
            raise
        what = f"{type(error).__name__}: {error}"
        _complain(
            ShipitError(what, "this is a bug in shipit", "SHIPIT_DEBUG=1 shows where; shipit status shows who serves")
        )
        sys.exit(1)
    finally:
        # Python's last search for garbage would take a hundred milliseconds, to free what ends with the process anyway.
        gc.freeze()


def _complain(error: ShipitError) -> None:
    from shipit.cli.output import paint

    print(f"{paint('error:', 'red', sys.stderr)} {error}", file=sys.stderr)
