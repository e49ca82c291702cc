"""The commands that are cut short or meet faults: how each begins, and how it must end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.picture import Picture
from bench.sites import DEADLINE_SECONDS, SICK, configure
from bench.sweep import CANARY, Done, Site

SICK_DEADLINE_SECONDS = 3.0


@dataclass(frozen=True)
class Case:
    """One command at one site. `serving` is who must serve at the end, `before` the picture that a failed release must
    leave, `alone` whether nothing else may be left; from the call `until` on it is like another scenario.
    """

    site: Site
    words: tuple[str, ...]
    serving: str
    before: Picture
    code: int = 0
    alone: bool = False
    as_before: bool = False
    until: str = ""

    def wrong(self, done: Done) -> list[str]:
        """What is not as it must be after the command has ended, by itself or by one that went on with it."""
        if done.unexplained:
            return [done.unexplained]
        if done.code != self.code:
            return [f"expected exit {self.code}: {done}"]
        if self.as_before:
            return self.unlike_before()
        now, was = self.site.camera.look().sticky, self.before.sticky
        wrong = [] if now == was else [f"clients are kept for {now} s, not for {was}"]
        return wrong or self.site.serves(self.serving, alone=self.alone)

    def unlike_before(self) -> list[str]:
        return self.site.settles(lambda now: [] if now == self.before else [f"not as before: {differences(self, now)}"])


def differences(case: Case, now: Picture) -> str:
    was = case.before
    pairs = ((was.groups, now.groups), (was.weights, now.weights), (was.parts, now.parts), (was.sticky, now.sticky))
    return "; ".join(f"{before} became {after}" for before, after in pairs if before != after)


def canary(site: Site) -> Case:
    """A release by stages, of an image that exists."""
    now = alone(site)
    return Case(site, ("release", _other(now), *CANARY), _other(now), site.camera.look())


def sticky(site: Site) -> Case:
    """A release where clients are kept on their target group by a cookie."""
    now = alone(site)
    site.camera.keep_clients(600)
    return Case(site, ("release", _other(now), *CANARY), _other(now), site.camera.look())


def sticky_rollback(site: Site) -> Case:
    """Back to the fleet that is parked outside the action, since clients are kept on their target group."""
    now = alone(site)
    site.camera.keep_clients(600)
    site.must("release", _other(now), "--canary", "100%")
    return Case(site, ("rollback", "--to", now), now, site.camera.look())


def bake(site: Site) -> Case:
    """A release of a commit that has no image yet."""
    alone(site)
    version = f"w{time.monotonic_ns()}"
    site.version(version)
    words = ("release", version, "--canary", "100%")
    return Case(site, words, version, site.camera.look(), until="autoscaling CreateAutoScalingGroup")


def rollback(site: Site) -> Case:
    """Back to the fleet that is parked."""
    _, parked = pair(site)
    return Case(site, ("rollback", "--to", parked), parked, site.camera.look())


def shrunken(site: Site) -> Case:
    """Back to a fleet that has shrunk since."""
    _, parked = pair(site)
    found = site.camera.look().groups
    name = next(name for name, group in found.items() if group["parked"])
    asg = site.camera.client("autoscaling")
    asg.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=0, DesiredCapacity=0)
    raise_for(site.settles(lambda now: ["it is not empty"] if now.groups[name]["instances"] else []))
    return Case(site, ("rollback", "--to", parked), parked, site.camera.look())


def cold_rollback(site: Site) -> Case:
    """Back to an image whose fleet is gone."""
    now = alone(site)
    return Case(site, ("rollback", "--to", _other(now)), _other(now), site.camera.look())


def failure(site: Site) -> Case:
    """A release of a version that never becomes healthy."""
    now = alone(site)
    configure(site, SICK_DEADLINE_SECONDS)
    return Case(site, ("release", SICK), now, site.camera.look(), code=1, as_before=True)


def retire(site: Site) -> Case:
    """The end of the parked fleet."""
    now, _ = pair(site)
    return Case(site, ("retire", "--yes"), now, site.camera.look(), alone=True)


SCENARIOS: dict[str, Callable[[Site], Case]] = {
    "canary": canary,
    "rollback": rollback,
    "shrunken": shrunken,
    "cold-rollback": cold_rollback,
    "failure": failure,
    "retire": retire,
    "bake": bake,
    "sticky": sticky,
    "sticky-rollback": sticky_rollback,
}


def alone(site: Site) -> str:
    """One fleet serves and there is nothing else; returns its version."""
    configure(site)
    now = _serving(site)
    if any(site.camera.look().sticky):
        site.camera.keep_clients(0)
    if len(site.camera.look().names) > 1:
        site.must("retire", "--yes")
        raise_for(site.serves(now, alone=True))
    return now


def pair(site: Site) -> tuple[str, str]:
    """One fleet serves and another one is parked; returns both versions."""
    configure(site)
    now = alone(site) if any(site.camera.look().sticky) else _serving(site)
    parked = [one["version"] for one in site.camera.look().groups.values() if one["parked"] and not one["leaving"]]
    if not parked:
        site.must("release", _other(now), "--canary", "100%")
        return _other(now), now
    return now, parked[0]


def clean(site: Site, serving: str, killed_at: float) -> list[str]:
    """What is left although the parked fleets were retired. Parts of a launch that was cut short are left alone by others until
    it cannot be under way any more.
    """
    wrong = retired(site, serving)
    if wrong and wrong[0].startswith("left behind"):
        time.sleep(max(0.0, killed_at + DEADLINE_SECONDS + 1.5 - time.monotonic()))
        wrong = retired(site, serving)
    return wrong


def retired(site: Site, serving: str) -> list[str]:
    configure(site)
    done = site.shipit("retire", "--yes")
    return site.serves(serving, alone=True) if done.code == 0 else [f"retire: {done}"]


def raise_for(wrong: Sequence[str]) -> None:
    if wrong:
        raise RuntimeError("; ".join(wrong))


def _serving(site: Site) -> str:
    serving = site.camera.look().serving
    if len(serving) > 1:
        site.must("rollback")
    return site.serving


def _other(version: str) -> str:
    return "v2" if version == "v1" else "v1"
