"""shipit sandbox chaos …: faults of AWS, on demand."""

from __future__ import annotations

import json
import math
import re
from typing import Annotated, Any

import typer

from shipit.cli.common import Format, Output
from shipit.errors import ShipitError, UsageError

app = typer.Typer(help="Let calls fail, launches find no capacity, instances die.", no_args_is_help=True)

Name = Annotated[str, typer.Option("--name", envvar="SHIPIT_SANDBOX", help="Which sandbox; several can be up at once.")]
PAGE = "/_shipit/chaos"


@app.command()
def add(
    what: Annotated[str, typer.Argument(help="Kind of chaos, see docs/sandbox.md.", show_default=False)],
    service: Annotated[str, typer.Option(help="Which services, like `elbv2`; a glob.")] = "*",
    action: Annotated[str, typer.Option(help="Which calls, like `Describe*`; a glob.")] = "*",
    nth: Annotated[int, typer.Option(min=1, help="From the nth call that fits.")] = 1,
    times: Annotated[int, typer.Option(min=0, help="For so many calls; 0 for all that follow.")] = 1,
    writes: Annotated[bool, typer.Option("--writes", help="Only calls that change something.")] = False,
    agent: Annotated[str, typer.Option(help="Only callers whose User-Agent has this; empty for all.")] = "shipit/",
    group: Annotated[str, typer.Option(help="Whose launches or checks, for `capacity` and `flap`; a glob.")] = "*",
    seconds: Annotated[float, typer.Option(min=0, max=3600, help="How long, or how late.")] = 5,
    name: Name = "default",
) -> None:
    """Set a rule; says its number."""
    from dataclasses import asdict

    from shipit.sandbox.chaos import read_rule

    for option, text in {"service": service, "action": action, "group": group}.items():
        if not re.fullmatch(r"[\w.*?-]+", text, re.ASCII):
            raise UsageError(
                f"--{option} {text!r} fits no name", "names have letters, digits and hyphens", f"--{option} '*'"
            )
    if not math.isfinite(seconds):
        raise UsageError(f"--seconds {seconds} is no time", "it is not a finite number", "--seconds 5")
    if not agent.isprintable():
        raise UsageError(f"--agent {agent!r} is in no User-Agent", "it has control characters", "--agent shipit/")
    given = {"service": service, "action": action, "nth": nth, "times": times, "writes": writes}
    rule = read_rule({"what": what, "agent": agent, "group": group, "seconds": seconds, **given})
    typer.echo(f"rule {_ask(name, 'POST', PAGE, **asdict(rule))['id']}")


@app.command(name="list")
def list_(name: Name = "default", output: Output = Format.HUMAN) -> None:
    """The rules that are set, and how often each has struck."""
    rules = _ask(name, "GET", PAGE)
    typer.echo(json.dumps(rules, indent=2) if output is Format.JSON else _text(rules))


@app.command()
def clear(
    rule: Annotated[int | None, typer.Argument(help="Number of a rule; all by default.", show_default=False)] = None,
    name: Name = "default",
) -> None:
    """Forget a rule, or all of them."""
    _ask(name, "DELETE", PAGE, id=rule)


@app.command()
def kill(
    instance: Annotated[str, typer.Argument(help="Instance id, or `random`.", show_default=False)],
    name: Name = "default",
) -> None:
    """End an instance at once, as a loss of power would."""
    if instance != "random" and not re.fullmatch(r"i-[0-9a-f]+", instance):
        raise UsageError(f"{instance!r} is not the id of an instance", "it begins with i-", "shipit sandbox status")
    killed = _ask(name, "POST", f"{PAGE}/kill", instance=instance)["killed"]
    if not killed:
        raise UsageError(f"{instance} does not run", "no running instance has that id", "shipit sandbox status")
    typer.echo(killed)


def _ask(name: str, method: str, path: str, **fields: Any) -> Any:
    from shipit.sandbox import lifecycle

    answer = lifecycle.ask(name, method, path, **fields)
    if isinstance(answer, dict) and "error" in answer:
        raise ShipitError(*answer["error"])
    return answer


def _text(rules: list[dict[str, Any]]) -> str:
    lines = [
        f"{rule['id']}  {rule['what']}  {rule['service']}:{rule['action']}  struck {rule['hits']} of {rule['matched']}"
        for rule in rules
    ]
    return "\n".join(lines) or "no chaos"
