"""How a command tells what it does: that it began, how it ended, who serves now; to whoever listens, and to the history."""

from __future__ import annotations

from shipit import naming
from shipit.errors import Interrupted, ShipitError
from shipit.events import Ended, Note, Started, Steered
from shipit.model import Ending, Version
from shipit.release.goal import rollback_targets
from shipit.release.outcome import Outcome, shares
from shipit.wiring import Shop


def start(shop: Shop, command: str, version: Version, fleet: str = "") -> Started:
    """Tells that the command begins to work."""
    event = Started(
        at=shop.clock.now(),
        app=shop.config.app,
        env=shop.config.env,
        command=command,
        version=version.name,
        commit=version.commit,
        fleet=fleet,
        who=shop.who,
        where=shop.where,
    )
    shop.hear(event)
    return event


def note(shop: Shop, text: str) -> None:
    """Tells something that stops nothing."""
    shop.hear(Note(at=shop.clock.now(), app=shop.config.app, env=shop.config.env, text=text))


def steered(shop: Shop, command: str, order: str) -> Steered:
    """Tells, and keeps in the history, what was asked of a release that runs."""
    event = Steered(
        at=shop.clock.now(),
        app=shop.config.app,
        env=shop.config.env,
        command=command,
        order=order,
        who=shop.who,
        where=shop.where,
    )
    _keep(shop, event)
    shop.hear(event)
    return event


def end(shop: Shop, started: Started, outcome: Outcome, *, kept: bool = True) -> Ended:
    """Tells how it ended; in the history as well when it is `kept`."""
    now = shop.clock.now()
    event = Ended(
        at=now,
        app=started.app,
        env=started.env,
        command=started.command,
        version=started.version,
        commit=started.commit,
        who=started.who,
        where=started.where,
        ending=outcome.ending,
        started_at=started.at,
        seconds=round((now - started.at).total_seconds(), 3),
        serving=shares(outcome.observed) if outcome.observed else {},
        reason=outcome.reason,
        next=outcome.next or _what_next(started.command, started.version, outcome),
        phases=outcome.phases,
        gates=tuple(shop.gates.words()),
    )
    if kept:
        _keep(shop, event)
    shop.hear(event)
    return event


def end_refused(shop: Shop, command: str, version: Version, refused: ShipitError) -> Ended:
    """The ending of a command that was refused before it began: nothing was touched."""
    started = Started(
        at=shop.clock.now(),
        app=shop.config.app,
        env=shop.config.env,
        command=command,
        version=version.name,
        commit=version.commit,
        who=shop.who,
        where=shop.where,
    )
    return end(shop, started, last_look(shop, Ending.REFUSED, refused), kept=False)


def last_look(shop: Shop, ending: Ending, error: ShipitError, next: str = "") -> Outcome:
    """The ending with who serves now, as far as that can still be seen."""
    try:
        observed = shop.engine.look()
    except Interrupted:
        raise
    except ShipitError:
        observed = None
    why = f"{error.what}: {error.why}" if error.why else error.what
    return Outcome(ending, observed, why, next or error.next)


def _what_next(command: str, version: str, outcome: Outcome) -> str:
    """What to type next when all is well."""
    if command == "stage" and outcome.ending is Ending.SUCCEEDED and outcome.observed:
        token = outcome.observed.route.preview_token
        see = f" (requests with the header {naming.PREVIEW_HEADER}: {token} reach it now)" if token else ""
        return f"shipit release {version}{see}"
    if (
        outcome.ending is not Ending.SUCCEEDED
        or command not in ("release", "rollback", "resume")
        or not outcome.observed
    ):
        return ""
    targets = rollback_targets(outcome.observed)
    return f"to undo: shipit rollback (back to {targets[0].version.name})" if targets else ""


def _keep(shop: Shop, event: Ended | Steered) -> None:
    try:
        shop.record.append(event)
    except Interrupted:
        raise
    except ShipitError as error:
        note(shop, f"history was not written: {error.what} ({error.why})")
