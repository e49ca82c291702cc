"""The `shipit` command: one entry, one place where errors become words and exit codes."""

from __future__ import annotations

import gc
import io
import os
import sys
from typing import Annotated, NoReturn

# Importing makes many objects and no garbage: looking for it takes a quarter of the time of a short command.
gc.set_threshold(100_000, 20, 20)

import typer  # noqa: E402

from shipit import __version__  # noqa: E402
from shipit.cli import care, look, make, sandbox, ship, steer  # noqa: E402
from shipit.errors import ShipitError, UsageError  # noqa: E402

# Click's own error of a wrong line: newer typers bring a click with them, older ones use the one beside them.
_WrongLine: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="shipit",
    help="Immutable-image blue/green releases on EC2: a commit becomes an image, the image a fleet, and traffic moves over.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (make, ship, steer, look, care):
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
    for stream in (sys.stdout, sys.stderr):
        # A release must not end half-way because the terminal's encoding has no sign for an arrow.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.exit(_run())
    except ShipitError as error:
        _end(error, told=getattr(error, "told", False))
    except BrokenPipeError:
        # The reader of our output has gone (`shipit history | head`): nothing left to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as error:  # noqa: BLE001 - nobody above could put it into words
        what = f"{type(error).__name__}: {error}"
        _end(ShipitError(what, "this is a bug in shipit", "SHIPIT_DEBUG=1 shows where; shipit status shows who serves"))
    finally:
        # Python's last search for garbage would take a hundred milliseconds, to free what ends with the process anyway.
        gc.freeze()


def _run() -> int:
    """The exit code of the command; a wrong line is told in three parts like every other error."""
    try:
        return app(prog_name="shipit", standalone_mode=False) or 0
    except typer.Abort:
        print("\naborted", file=sys.stderr)
        return 1
    except _WrongLine as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            return UsageError.exit_code
        raise _three_parts(error) from None


def _three_parts(error: Exception) -> UsageError:
    context = getattr(error, "ctx", None)
    typed = context.command_path if context else "shipit"
    usage = context.get_usage() if context else ""
    message = getattr(error, "format_message", error.__str__)()
    return UsageError(message.rstrip("."), " ".join(usage.split()), f"{typed} --help")


def _end(error: ShipitError, *, told: bool = False) -> NoReturn:
    if not told:
        _complain(error)
    if os.environ.get("SHIPIT_DEBUG"):
        import traceback

        traceback.print_exc()
    sys.exit(error.exit_code)


def _complain(error: ShipitError) -> None:
    from shipit.cli.output import paint, printable

    print(f"{paint('error:', 'red', sys.stderr)} {printable(str(error))}", file=sys.stderr)
