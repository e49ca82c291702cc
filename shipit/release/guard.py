"""The one place that refuses to hurt users, whatever the plan says. It looks at fresh facts, right before each act."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from shipit.errors import Drifted, Refused
from shipit.model import Exposure, Observed, Split
from shipit.release.steps import DeleteFleet, DrainFleet, LaunchFleet, ParkFleet, ResizeFleet, ShiftTraffic, Step
from shipit.standing import Written

NO_SMOKE = "add gates.probe or gates.command to shipit.yml (docs/canary.md), or leave --smoke out"


def refuse_harm(step: Step, observed: Observed) -> None:
    """Raises `Refused` when the step would take capacity from a fleet that serves, or give traffic to one that cannot."""
    if takes_capacity(step, observed):
        _refuse_to_touch_serving(step, observed)
    if isinstance(step, ShiftTraffic):
        _refuse_bad_split(step, observed)


def takes_capacity(step: Step, observed: Observed) -> bool:
    """Whether users would suffer if the fleet that it is for had a share."""
    return isinstance(step, (DrainFleet, DeleteFleet, ParkFleet)) or _shrinks(step, observed)


def has_drifted(known: Sequence[Split], observed: Observed) -> bool:
    """Whether the shares are none of those that our last look or write left."""
    return all(split.shares != observed.split.shares for split in known)


def refuse_drift(known: Sequence[Split], observed: Observed) -> None:
    """Raises `Drifted` when somebody else has moved traffic since our last look or write."""
    if not has_drifted(known, observed):
        return
    raise Drifted(
        "somebody else moved the traffic",
        f"expected {_text(known[-1])}, found {_text(observed.split)}",
        "shipit status; then the same command with --accept-drift, or shipit rollback",
    )


def refuse_launch(step: Step) -> None:
    """Raises `Drifted` where the fleet to go back to has to be launched after all, by a command that has asked nobody."""
    if isinstance(step, LaunchFleet):
        raise Drifted(
            f"{step.fleet} is gone",
            "somebody else has deleted it within the last seconds",
            "the same command once more",
        )


def refuse_old_drift(written: Written, observed: Observed) -> None:
    """Raises `Drifted` when the shares are not those that shipit wrote last, or was about to write when it ended."""
    known = [Split(dict(weights)) for weights in (written.intent, written.weights or None) if weights is not None]
    if known:
        refuse_drift(known, observed)


def refuse_foreign_route(observed: Observed) -> None:
    """Raises `Refused` when the listener does something with requests that is not ours to change: it redirects them, or
    forwards a share to target groups of somebody else.
    """
    if observed.route.obstacle:
        raise Refused(
            "traffic cannot be shifted here",
            observed.route.obstacle,
            "name another one: traffic.listener, traffic.rule",
        )
    sharing = {name: weight for name, weight in observed.route.foreign.items() if weight > 0}
    if sharing:
        listed = ", ".join(f"{name} (weight {weight})" for name, weight in sharing.items())
        raise Refused(
            f"the listener also forwards to target groups that are not shipit's: {listed}",
            "their share would change with every shift",
            "give traffic.listener or traffic.rule one that is shipit's own, or set their weight to 0",
        )


def refuse_to_smoke_blindly(gates: Collection[str], observed: Observed) -> None:
    """Raises `Refused` where a smoke test would try nothing, or whatever serves now instead of the new fleet."""
    if not gates:
        raise Refused("there is nothing to try it with", "shipit.yml has no gate of kind probe or command", NO_SMOKE)
    if not observed.route.previewable:
        raise Refused(
            "a fleet without a share cannot be reached here",
            "no rule for the preview header can be made: the action authenticates first, or its rule has five values",
            "the same command without --smoke",
        )


def _text(split: Split) -> str:
    return ", ".join(f"{float(split.percent(name)):g} % {name}" for name in split.serving) or "nothing"


def _shrinks(step: Step, observed: Observed) -> bool:
    fleet = observed.fleets.get(step.about)
    return isinstance(step, ResizeFleet) and fleet is not None and step.size < fleet.desired


def _refuse_to_touch_serving(step: Step, observed: Observed) -> None:
    percent = observed.split.percent(step.about)
    if percent > 0:
        raise Refused(f"will not {step.sentence}", f"it gets {float(percent):g} % of the requests", "shipit status")
    fleet = observed.fleets.get(step.about)
    if isinstance(step, DeleteFleet) and step.at_once and fleet and fleet.exposure is not Exposure.NONE:
        raise Refused(f"will not delete {step.about} without draining", "it has served requests", "shipit status")


def _refuse_bad_split(step: ShiftTraffic, observed: Observed) -> None:
    if not step.split.total and observed.split.total:
        raise Refused("will not set all weights to zero", "every request would fail (field notes A2)", "shipit status")
    for name in step.split.serving:
        gains = step.split.percent(name) > observed.split.percent(name)
        fleet = observed.fleets.get(name)
        if gains and (fleet is None or fleet.healthy == 0):
            raise Refused(
                f"will not send {float(step.split.percent(name)):g} % of the requests to {name}",
                "it has no healthy instance, and the balancer does not fail over between target groups",
                "shipit status",
            )
