"""Status, plan and history: as a text for people and as one JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from shipit.cli.output import paint, share_text
from shipit.events import Ended, to_document
from shipit.model import Exposure, Fleet, Observed
from shipit.operations import way_back
from shipit.release.goal import Goal, Target
from shipit.release.outcome import shares
from shipit.release.plan import Plan
from shipit.release.steps import Step
from shipit.wiring import Shop

_ENDING_COLOURS = {"succeeded": "green", "shipped_dirty": "yellow", "waiting": "yellow"}


def status_document(shop: Shop) -> str:
    """One JSON document; its shape is promised in docs/json.md."""
    observed = shop.engine.look(all_health=True)
    return json.dumps(
        {
            "app": shop.config.app,
            "env": shop.config.env,
            "split": [_fleet_row(fleet, observed) for fleet in _fleets(observed)],
            "release": _running(observed),
            "rollback_targets": [{"version": t.version.name, "instant": t.instant} for t in way_back(shop, observed)],
            "frozen": None,
        },
        indent=2,
    )


def status_text(shop: Shop) -> str:
    observed = shop.engine.look(all_health=True)
    lines = [f"{shop.config.app} in {shop.config.env}: {share_text(shares(observed))}", ""]
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


def history_document(events: Sequence[Ended]) -> str:
    return json.dumps([to_document(event) for event in events], indent=2)


def history_text(events: Sequence[Ended]) -> str:
    rows = [("WHEN (UTC)", "WHAT", "VERSION", "ENDING", "SECONDS", "WHO", "PHASES")]
    for event in events:
        phases = " ".join(f"{p.name} {p.seconds:.1f}" for p in event.phases if p.seconds >= 0.05)
        at = (event.started_at or event.at).strftime("%Y-%m-%d %H:%M:%S")
        ending = event.ending.value
        rows.append((at, event.command, event.version, ending, f"{event.seconds:.1f}", event.who, phases))
    return "\n".join(_table(rows)) if events else "no history yet"


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


def _running(observed: Observed) -> dict[str, Any] | None:
    """A canary that is under way, as far as the listener tells it."""
    arriving = [f for f in observed.serving_fleets() if f.exposure is not Exposure.ALL]
    if len(observed.split.serving) < 2 or not arriving:
        return None
    percent = float(observed.split.percent(arriving[0].name))
    return {
        "version": arriving[0].version.name,
        "phase": "canary",
        "stage_percent": percent,
        "paused": False,
        "since": None,
        "owner": None,
    }


def _remark(fleet: Fleet, observed: Observed) -> str:
    if not fleet.whole:
        return "incomplete"
    if fleet.leaving:
        return "draining" if fleet.instances else "empty, removed by the next command"
    if fleet.parked_until:
        minutes = (fleet.parked_until - datetime.now(UTC)).total_seconds() / 60
        return f"parked for {minutes:.0f} more minutes" if minutes > 0 else "parked, time is over"
    if observed.route.preview == fleet.name:
        return f"preview: header x-shipit-preview: {fleet.name}"
    return ""


def _served_before(shop: Shop) -> set[str]:
    """Versions that the history knows to have served: an image may exist of one that never did."""
    events = shop.record.history(200)
    return {event.version for event in events if event.ending.value in ("succeeded", "shipped_dirty")}


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
