"""What somebody is told who may not go on: another one is at it, the lease is lost, the environment is frozen."""

from __future__ import annotations

from datetime import UTC, datetime

from shipit.errors import Held, LeaseLost, Refused
from shipit.standing import Freeze, Holder


def held(theirs: Holder) -> Held:
    phase = f", {theirs.phase}" if theirs.phase else ""
    return Held(
        f"{_act(theirs)} is running",
        f"by {_source(theirs)}{phase}; its lease ends at {_moment(theirs.until)} unless it is renewed",
        "shipit status; shipit abort sends traffic home; --wait 10m queues",
    )


def lost(mine: Holder, now_holds: Holder | None) -> LeaseLost:
    why = f"{_act(now_holds)} has it, by {_source(now_holds)}" if now_holds else "nobody has it any more"
    return LeaseLost(
        f"{_act(mine)} has lost its lease",
        why,
        "shipit status; the same command again goes on from there",
        taken=now_holds is not None,
    )


def frozen(place: str, freeze: Freeze) -> Refused:
    """`place` is the app and environment."""
    why = f"by {freeze.who}, since {_moment(freeze.at)}: {freeze.reason}"
    return Refused(f"{place} is frozen already", why, "shipit unfreeze")


def _act(holder: Holder) -> str:
    return f"{holder.command} of {holder.version}" if holder.version else holder.command


def _source(holder: Holder) -> str:
    return f"{holder.who} from {holder.where}, since {_moment(holder.since)}"


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
