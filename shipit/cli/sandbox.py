"""shipit sandbox …: the local AWS."""

from __future__ import annotations

import json
import math
import re
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shipit.cli import chaos
from shipit.cli.common import Format, Output
from shipit.errors import UsageError

if TYPE_CHECKING:
    from shipit.sandbox.tally import Second

app = typer.Typer(help="A local AWS with real instances, a real load balancer and real images.", no_args_is_help=True)
app.add_typer(chaos.app, name="chaos")

Name = Annotated[str, typer.Option("--name", envvar="SHIPIT_SANDBOX", help="Which sandbox; several can be up at once.")]


def _a_number(value: float | None) -> float | None:
    """Raises for `nan`, which is neither below a minimum nor above a maximum."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter("nan is not a number")
    return value


@app.command()
def up(
    name: Name = "default",
    fast: Annotated[
        bool,
        typer.Option("--fast", help="Check health five times as often as the target groups say; metrics every 5 s."),
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the AWS endpoint; 0 takes a free one.")] = 0,
    front_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the load balancer; 0 takes a free one.")
    ] = 0,
    metrics_lag: Annotated[
        float | None,
        typer.Option(
            min=0, max=600, callback=_a_number, help="Seconds until CloudWatch shows a metric.", show_default=False
        ),
    ] = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay until Ctrl-C, and leave nothing.")] = False,
) -> None:
    """Start the sandbox, or find it running. Needs root: namespaces and a network of its own."""
    from shipit.sandbox import lifecycle

    if foreground:
        code = lifecycle.foreground(name, fast=fast, port=port, front_port=front_port, metrics_lag=metrics_lag)
        raise typer.Exit(code)
    state = lifecycle.up(name, fast=fast, port=port, front_port=front_port, metrics_lag=metrics_lag)
    typer.echo(f"sandbox {name} is up")
    typer.echo(f"  load balancer  {state.front_door_url}")
    typer.echo(f"  AWS endpoint   {state.endpoint_url}")
    typer.echo("next: shipit release v1 --env sandbox, or: eval $(shipit sandbox env)")


@app.command()
def down(name: Name = "default") -> None:
    """End the sandbox and everything in it."""
    from shipit.sandbox import lifecycle

    typer.echo(f"sandbox {name} is down" if lifecycle.down(name) else f"sandbox {name} was not up")


@app.command()
def status(name: Name = "default", output: Output = Format.HUMAN) -> None:
    """What is in it: URLs, instances, target groups."""
    from shipit.sandbox import lifecycle

    found = lifecycle.status(name)
    typer.echo(json.dumps(found, indent=2) if output is Format.JSON else _status_text(found))


@app.command()
def env(name: Name = "default") -> None:
    """Print the variables that point boto3, the AWS CLI and Packer at it: eval $(shipit sandbox env)."""
    import shlex

    from shipit.sandbox import lifecycle

    for key, value in lifecycle.environment(name).items():
        typer.echo(f"export {key}={shlex.quote(value)}")


@app.command()
def load(
    rate: Annotated[float, typer.Option(min=0.1, max=5000, callback=_a_number, help="Requests per second.")] = 100,
    seconds: Annotated[float, typer.Option(min=0.1, max=86400, callback=_a_number, help="How long.")] = 10,
    path: Annotated[str, typer.Option(help="Path to request.")] = "/",
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="`Name: value`, may be repeated.", show_default=False)
    ] = None,
    name: Name = "default",
    output: Output = Format.HUMAN,
) -> None:
    """Send steady requests through the load balancer; count every failure, and answers by version. Exit code 1 on failures."""
    from dataclasses import asdict

    from shipit.sandbox import lifecycle
    from shipit.sandbox.load import as_text, run_load

    headers = dict(_header(text) for text in header or [])
    if not re.fullmatch(r"/[!-~]*", path):
        why = "it must begin with / and have no blanks, nor letters beyond ASCII: they are written like %C3%A9"
        raise UsageError(f"{path!r} is not a path", why, "--path /healthz")
    url = lifecycle.status(name)["front_door_url"]
    live = _tell_second if output is Format.HUMAN and sys.stderr.isatty() else None
    report = run_load(url, rate, seconds, path=path, headers=headers, watch=live)
    typer.echo(json.dumps(asdict(report), indent=2) if output is Format.JSON else as_text(report))
    raise typer.Exit(1 if report.failed else 0)


def _header(text: str) -> tuple[str, str]:
    # RFC 9110, section 5: the name is a token, the value what Latin-1 has.
    found = re.fullmatch(r"\s*([!#$%&'*+.^_`|~\w-]+)\s*:([ -~\xa0-\xff]*)", text, re.ASCII)
    if found is None:
        why = "it has no colon, or letters that no header can have"
        raise UsageError(f"{text!r} is not a header", why, "-H 'Name: value'")
    return found[1], found[2].strip()


def _tell_second(second: Second) -> None:
    shares = "  ".join(f"{version or '-'} {count}" for version, count in sorted(second.versions.items()))
    print(f"{second.second:5d}s  {shares}  failed {second.failed}", file=sys.stderr, flush=True)


def _status_text(found: dict[str, Any]) -> str:
    lines = [
        f"load balancer  {found['front_door_url']}",
        f"AWS endpoint   {found['endpoint_url']}",
        f"region         {found['region']}",
        "",
    ]
    rows = [f"{i['id']}  {i['address'] or '-':15}  {i['state']:13}  {i['name'] or ''}" for i in found["instances"]]
    return "\n".join([*lines, *(rows or ["no instances"])])
