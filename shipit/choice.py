"""Which goal a command means: from what was asked, what is seen, and what is written down."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from shipit import naming
from shipit.errors import ShipitError, UsageError
from shipit.model import Image, Observed, Version
from shipit.release.aim import goal_of
from shipit.release.goal import (
    Goal,
    Target,
    interrupted_goal,
    release_goal,
    rollback_goal,
    rollback_targets,
    serving_goal,
)
from shipit.schedule import parse_schedule
from shipit.standing import Standing
from shipit.value import value
from shipit.wiring import Shop


@value()
class Wanted:
    """What to release: a git ref to bake, or an image that exists. `schedule` None means that of shipit.yml."""

    ref: str | None = None
    image_id: str | None = None
    schedule: str | None = None
    staged: bool = False


@value()
class Manner:
    """How a command goes about it. `wait_seconds`: how long to queue behind another one. `accept_drift`: go on although
    somebody else moved traffic. `despite_freeze`: go on although it is frozen. `keep_failed`, `auto_rollback`, `hand_over` and
    `smoke`: as in `Goal`.
    """

    wait_seconds: float = 0.0
    accept_drift: bool = False
    despite_freeze: bool = False
    keep_failed: bool = False
    auto_rollback: bool = True
    hand_over: bool = False
    smoke: bool = False


def goal_of_release(shop: Shop, wanted: Wanted, version: Version, image: Image | None, seen: Observed) -> Goal:
    goal = release_goal(version, image, shop.launch_digest, seen, _new_name(shop))
    schedule = wanted.schedule or shop.config.settings.traffic.schedule
    return replace(goal, stages=parse_schedule(schedule), staged=wanted.staged)


def version_and_image(shop: Shop, wanted: Wanted) -> tuple[Version, Image | None]:
    if wanted.image_id:
        image = shop.images.by_id(wanted.image_id)
        if image is None:
            raise UsageError(
                f"there is no image {wanted.image_id}", "EC2 does not know it in this region", "shipit status"
            )
        return image.version, image
    if not wanted.ref:
        raise UsageError("nothing to release", "neither a version nor --image is given", "shipit release v42")
    version = shop.repository.resolve(wanted.ref)
    return version, shop.baker.find(version)


def goal_to_resume(shop: Shop, seen: Observed, standing: Standing) -> Goal:
    if standing.aim is None:
        stages = parse_schedule(shop.config.settings.traffic.schedule)
        return interrupted_goal(seen, stages) or serving_goal(seen)
    goal = goal_of(standing.aim)
    if goal.image_id is None and goal.fleet and goal.version.commit:
        image = shop.baker.find(goal.version)
        goal = replace(goal, image_id=image.id if image else None)
    return goal


def goal_of_rollback(shop: Shop, to: str | None, seen: Observed) -> Goal:
    """Images are only looked up when no fleet is the answer: a rollback must be quick and need few permissions."""
    name = _new_name(shop)
    try:
        goal = rollback_goal(seen, rollback_targets(seen), to, "", name)
    except ShipitError:
        goal = rollback_goal(seen, way_back(shop, seen), to, "", name)
    return goal if goal.fleet in seen.fleets else replace(goal, digest=shop.launch_digest)


def _new_name(shop: Shop) -> str:
    return naming.fleet_name(shop.config.app, shop.config.env, os.urandom(8).hex())


def way_back(shop: Shop, observed: Observed) -> Sequence[Target]:
    """The versions that a rollback can go to, the default one first."""
    return rollback_targets(observed, shop.images.all())
