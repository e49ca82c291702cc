"""Status, plan and history: as a text for people and as one JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from shipit import naming
from shipit.choice import way_back
from shipit.cli.output import paint, printable, share_text
from shipit.errors import Interrupted, ShipitError
from shipit.events import Ended, Steered, to_document
from shipit.model import Fleet, Mood, Observed
from shipit.release.goal import Goal, Target, interrupted_goal
from shipit.release.outcome import doomed, shares
from shipit.release.plan import Plan
from shipit.release.steps import Step
from shipit.schedule import AT_ONCE
from shipit.standing import Freeze, Standing
from shipit.tenure import running
from shipit.wiring import Shop

_MARKS = {Mood.GOOD: "✓", Mood.NOT_YET: "?", Mood.BAD: "✗"}
_TIME = "%Y-%m-%d %H:%M:%S"
_ENDING_COLOURS = {"succeeded": "green", "shipped_dirty": "yellow", "waiting": "yellow"}


def status_document(shop: Shop) -> str:
    """One JSON document; its shape is promised in docs/json.md."""
    observed = shop.engine.look(all_health=True)
    standing = _standing(shop)
    return json.dumps(
        {
            "app": shop.config.app,
            "env": shop.config.env,
            "split": [_fleet_row(fleet, observed) for fleet in _fleets(observed)],
            "release": _release_row(shop, observed, standing),
            "rollback_targets": [{"version": t.version.name, "instant": t.instant} for t in way_back(shop, observed)],
            "frozen": _frozen_row(standing.freeze),
        },
        indent=2,
    )


def status_text(shop: Shop) -> str:
    observed = shop.engine.look(all_health=True)
    standing = _standing(shop)
    lines = [f"{shop.config.app} in {shop.config.env}: {share_text(shares(observed))}"]
    lines += [*_standing_text(shop, observed, standing), *_dooms(observed), ""]
    rows = [("VERSION", "SHARE", "HEALTHY", "FLEET", "IMAGE", "")]
    for fleet in _fleets(observed):
        percent = float(observed.split.percent(fleet.name))
        healthy = f"{fleet.healthy} of {fleet.desired}"
        rows.append(
            (fleet.version.name, f"{percent:g} %", healthy, fleet.name, fleet.image_id, _remark(fleet, observed))
        )
    lines += _table(rows) if len(rows) > 1 else ["nothing is deployed; shipit release REF"]
    if observed.route.foreign:
        lines += ["", f"also in the listener, not ours: {', '.join(observed.route.foreign)}"]
    lines += ["", *_targets_text(way_back(shop, observed), _served_before(shop))]
    return "\n".join(lines)


def plan_document(goal: Goal, plan: Plan) -> str:
    return json.dumps(
        {
            "version": goal.version.name,
            "commit": goal.version.commit,
            "fleet": goal.fleet,
            "ship": [_step_row(step) for step in plan.ship],
            "tidy": [_step_row(step) for step in plan.tidy],
        },
        indent=2,
    )


def plan_text(goal: Goal, plan: Plan) -> str:
    """The steps as numbered sentences; golden files pin it."""
    if plan.empty:
        return (
            f"{goal.version.name} serves already; nothing to do" if goal.fleet else "nothing is to serve; nothing to do"
        )
    lines = [f"to make {goal.version.name} serve:", *_numbered(plan.ship, 1)]
    if not plan.ship:
        lines = [f"{goal.version.name} serves already"] if goal.fleet else ["nothing is to serve"]
    if plan.tidy:
        lines += ["then, with no effect on any request:", *_numbered(plan.tidy, len(plan.ship) + 1)]
    return "\n".join(lines)


def history_document(events: Sequence[Ended | Steered]) -> str:
    return json.dumps([to_document(event) for event in events], indent=2)


def history_text(events: Sequence[Ended | Steered]) -> str:
    rows = [("WHEN (UTC)", "WHAT", "VERSION", "ENDING", "SECONDS", "WHO", "WHERE", "PHASES")]
    for event in events:
        if isinstance(event, Steered):
            at = event.at.strftime(_TIME)
            rows.append((at, event.command, "", "", "", event.who, event.where, event.order))
            continue
        phases = " ".join(f"{p.name} {p.seconds:.1f}" for p in event.phases if p.seconds >= 0.05)
        at = (event.started_at or event.at).strftime(_TIME)
        ending, seconds = event.ending.value, f"{event.seconds:.1f}"
        rows.append((at, event.command, event.version, ending, seconds, event.who, event.where, phases))
    if not events:
        return "no history yet"
    head, *lines = _table(rows)
    told = [(line, *_gate_lines(event)) for line, event in zip(lines, events, strict=True)]
    return "\n".join([head, *(text for group in told for text in group)])


def _gate_lines(event: Ended | Steered) -> Sequence[str]:
    """What the gates said last at each share, with their figures."""
    words = event.gates if isinstance(event, Ended) else ()
    return [f"    at {word.percent:g} %  {_MARKS[word.mood]} {word.gate}: {printable(word.reason)}" for word in words]


def _fleets(observed: Observed) -> list[Fleet]:
    return sorted(observed.fleets.values(), key=lambda f: (-observed.split.percent(f.name), f.version.name, f.name))


def _fleet_row(fleet: Fleet, observed: Observed) -> dict[str, Any]:
    return {
        "version": fleet.version.name,
        "commit": fleet.version.commit,
        "fleet": fleet.name,
        "weight_percent": float(observed.split.percent(fleet.name)),
        "desired": fleet.desired,
        "healthy": fleet.healthy,
        "image": fleet.image_id,
        "parked_until": fleet.parked_until.isoformat() if fleet.parked_until else None,
    }


def _standing(shop: Shop) -> Standing:
    """What is written down; nothing where it cannot be read: who serves is told all the same."""
    try:
        return shop.record.read()
    except Interrupted:
        raise
    except ShipitError:
        return Standing()


def _release_row(shop: Shop, observed: Observed, standing: Standing) -> dict[str, Any] | None:
    """The release that is under way, or was left: as it is written down, else as far as the listener tells it."""
    holder = running(standing, shop.clock.now())
    canary = interrupted_goal(observed, AT_ONCE)
    fleet = standing.aim.fleet if standing.aim else canary.fleet if canary else None
    if holder is None and fleet is None:
        return None
    version = standing.aim.version if standing.aim else canary.version if canary else None
    since = standing.written.at if standing.aim else None
    return {
        "version": holder.version if holder and holder.version else version.name if version else "",
        "phase": holder.phase or holder.command if holder else "interrupted",
        "stage_percent": float(observed.split.percent(fleet or "")),
        "paused": standing.orders.paused or standing.orders.share is not None,
        "since": holder.since.isoformat() if holder else since.isoformat() if since else None,
        "owner": f"{holder.who} ({holder.where})" if holder else None,
    }


def _frozen_row(freeze: Freeze | None) -> dict[str, Any] | None:
    return {"reason": freeze.reason, "who": freeze.who, "at": freeze.at.isoformat()} if freeze else None


def _standing_text(shop: Shop, observed: Observed, standing: Standing) -> list[str]:
    lines = []
    release = _release_row(shop, observed, standing)
    if release and release["owner"]:
        paused = f", paused at {release['stage_percent']:g} %" if release["paused"] else ""
        what = f"{release['version']} is being released by {release['owner']} since {release['since'][:19]}"
        lines.append(paint(f"{what}: {release['phase']}{paused}", "cyan"))
    elif release:
        text = f"the release of {release['version']} was interrupted at {release['stage_percent']:g} %"
        lines.append(paint(f"{text}; go on: shipit resume, send traffic home: shipit abort", "yellow"))
    if standing.freeze:
        freeze = standing.freeze
        lines.append(paint(f"frozen by {freeze.who} since {freeze.at:{_TIME}} UTC: {freeze.reason}", "yellow"))
    return lines


def _dooms(observed: Observed) -> list[str]:
    """A parked fleet that was made to serve by hand still has its date."""
    doomed_ones = [fleet for fleet in observed.serving_fleets() if fleet.parked_until]
    return [paint(f"{doomed(fleet)}; cancel that: shipit resume", "red") for fleet in doomed_ones]


def _remark(fleet: Fleet, observed: Observed) -> str:
    if not fleet.whole:
        return "incomplete"
    if fleet.leaving:
        return "draining" if fleet.instances else "empty, removed by the next command"
    if fleet.parked_until and not observed.split.percent(fleet.name):
        minutes = (fleet.parked_until - datetime.now(UTC)).total_seconds() / 60
        return f"parked for {minutes:.0f} more minutes" if minutes > 0 else "parked, time is over"
    if observed.route.preview == fleet.name:
        return f"preview: header {naming.PREVIEW_HEADER}: {observed.route.preview_token}"
    if fleet.kept_until:
        return f"kept to be looked at until {fleet.kept_until:%H:%M} UTC"
    return ""


def _served_before(shop: Shop) -> set[str]:
    """Versions that the history knows to have served: an image may exist of one that never did."""
    ends = [event for event in shop.record.history(200) if isinstance(event, Ended)]
    return {event.version for event in ends if event.ending.value in ("succeeded", "shipped_dirty")}


def _targets_text(targets: Sequence[Target], served: set[str]) -> Iterable[str]:
    if not targets:
        return ["rollback: no earlier version"]
    rows = [("ROLLBACK TO", "HOW")]
    for number, target in enumerate(targets[:10]):
        how = (
            paint("instant", "green")
            if target.instant
            else "capacity first"
            if target.fleet
            else "new fleet from its image"
        )
        command = "shipit rollback" if number == 0 and target.fleet else f"shipit rollback --to {target.version.name}"
        never = "" if target.fleet or target.version.name in served else " (it has not served here)"
        rows.append((target.version.name, f"{how}: {command}{never}"))
    return _table(rows)


def _step_row(step: Step) -> dict[str, str]:
    return {"step": step.kind, "fleet": step.about, "sentence": step.sentence}


def _numbered(steps: Sequence[Step], first: int) -> list[str]:
    return [f"{number:3d}. {step.sentence}" for number, step in enumerate(steps, first)]


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
