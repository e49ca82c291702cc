"""Commands that look after an environment: gc, doctor."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from shipit.cli.common import ConfigPath, Env, Format, Output, Profile, shop_for
from shipit.cli.output import paint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipit.care import Fate, Survey
    from shipit.found import Finding
    from shipit.release.leftovers import Leftover
    from shipit.wiring import Shop

_COLOURS = {"ok": "green", "warn": "yellow", "FAIL": "red"}


def add_to(app: typer.Typer) -> None:
    app.command()(gc)
    app.command()(doctor)


def gc(
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Delete what is listed; without it, nothing is changed.")
    ] = False,
    keep_images: Annotated[
        int | None,
        typer.Option("--keep-images", min=1, max=1000, help="Instead of `images.keep`.", show_default=False),
    ] = None,
    kept: Annotated[bool, typer.Option("--kept", help="Also failed fleets that are kept to be looked at.")] = False,
    env: Env = None,
    config: ConfigPath = None,
    profile: Profile = None,
    output: Output = Format.HUMAN,
) -> None:
    """List what is left over and used by nothing; delete it with --yes."""
    from shipit import care

    human = output is Format.HUMAN
    shop = shop_for(lambda event: None, env, config, profile)
    rules = care.rules_of(shop, keep_images, kept=kept)
    survey = care.survey(shop, rules)
    if human:
        _say("\n".join(_survey_text(survey, shop)))
    fates = care.gc(shop, survey, rules, _say if human else _silent) if yes else ()
    if not human:
        _say(gc_document(shop, survey, fates, yes=yes))
    elif survey.found:
        _say(_fates_text(fates, survey, yes=yes))
    raise typer.Exit(care.ending_of(fates).exit_code)


def doctor(env: Env = None, config: ConfigPath = None, profile: Profile = None, output: Output = Format.HUMAN) -> None:
    """Check everything that a release needs: ok, or what is wrong and what to type next."""
    from shipit.doctor import examine
    from shipit.found import Health
    from shipit.model import Ending

    shop = shop_for(lambda event: None, env, config, profile)
    if profile is not None:
        shop.session.client("sts")  # a profile that does not exist is a wrong command line, not a finding
    findings = []
    for finding in examine(shop):
        findings.append(finding)
        if output is Format.HUMAN:
            _say(_finding_text(finding))
    if output is Format.JSON:
        _say(doctor_document(shop, findings))
    failed = any(finding.mood is Health.FAIL for finding in findings)
    raise typer.Exit(Ending.REFUSED.exit_code if failed else 0)


def gc_document(shop: Shop, survey: Survey, fates: Sequence[Fate], *, yes: bool) -> str:
    """One JSON document; its shape is promised in docs/json.md."""
    by_leftover = {fate.leftover: fate for fate in fates}
    return json.dumps(
        {
            "app": shop.config.app,
            "env": shop.config.env,
            "dry_run": not yes,
            "leftovers": [_leftover_row(found, by_leftover.get(found)) for found in survey.found],
            "notes": list(survey.notes),
        },
        indent=2,
    )


def doctor_document(shop: Shop, findings: Sequence[Finding]) -> str:
    """One JSON document; its shape is promised in docs/json.md."""
    return json.dumps(
        {"app": shop.config.app, "env": shop.config.env, "findings": [_finding_row(found) for found in findings]},
        indent=2,
    )


def _leftover_row(found: Leftover, fate: Fate | None) -> dict[str, object]:
    return {
        "kind": found.kind.value,
        "name": found.name,
        "why": found.why,
        "deletable": found.deletable,
        "outcome": None if fate is None else "deleted" if fate.gone else "left",
        "reason": fate.why if fate else "",
        "next": fate.next if fate else found.next,
    }


def _finding_row(found: Finding) -> dict[str, str]:
    return {"mood": found.mood.value.lower(), "what": found.what, "why": found.why, "next": found.next}


def _survey_text(survey: Survey, shop: Shop) -> list[str]:
    lines = [paint(note, "yellow") for note in survey.notes]
    lines.append(f"{shop.config.app} in {shop.config.env}: {_count(len(survey.found))}")
    for found in survey.found:
        lines.append(f"  {found.kind.words} {found.name}: {found.why}")
        if not found.deletable:
            lines.append(paint(f"    stays; next: {found.next}", "yellow"))
    return lines


def _fates_text(fates: Sequence[Fate], survey: Survey, *, yes: bool) -> str:
    """What was done, and of each thing that is left the three parts."""
    if not yes:
        deletable = any(found.deletable for found in survey.found)
        return "next: shipit gc --yes deletes it" if deletable else "shipit gc can delete none of it"
    left = [fate for fate in fates if not fate.gone]
    lines = [f"{len(fates) - len(left)} deleted, {len(left)} left"]
    for fate in left:
        lines.append(paint(f"left: {fate.leftover.kind.words} {fate.leftover.name}", "red"))
        lines += [f"  why:  {fate.why}", f"  next: {fate.next or 'shipit gc'}"]
    return "\n".join(lines)


def _finding_text(found: Finding) -> str:
    mood = paint(f"{found.mood.value:4}", _COLOURS[found.mood.value])
    why = f" ({found.why})" if found.why else ""
    return f"{mood}  {found.what}{why}" + (f"  -> {found.next}" if found.next else "")


def _count(number: int) -> str:
    return "nothing is left over" if not number else f"{number} left over"


def _say(text: str) -> None:
    print(text, flush=True, file=sys.stdout)


def _silent(_text: str) -> None:
    """For programs, the document says it all."""
