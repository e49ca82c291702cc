"""A goal as it is written down, and back: what another process needs to go on with it."""

from __future__ import annotations

from shipit.release.goal import Goal
from shipit.schedule import format_schedule, parse_schedule
from shipit.standing import Aim


def aim_of(goal: Goal) -> Aim:
    """What is written down of a goal."""
    return Aim(
        version=goal.version,
        fleet=goal.fleet or "",
        image_id=goal.image_id or "",
        digest=goal.digest,
        schedule=format_schedule(goal.stages),
        home=goal.home,
        staged=goal.staged,
        instant=goal.instant,
        retire_parked=goal.retire_parked,
        keep_failed=goal.keep_failed,
        auto_rollback=goal.auto_rollback,
        hand_over=goal.hand_over,
        smoke=goal.smoke,
        retreat=goal.retreat,
        why=goal.why,
        discard=tuple(sorted(goal.discard)),
    )


def goal_of(aim: Aim) -> Goal:
    """The goal that was written down."""
    return Goal(
        version=aim.version,
        fleet=aim.fleet or None,
        image_id=aim.image_id or None,
        digest=aim.digest,
        stages=parse_schedule(aim.schedule),
        staged=aim.staged,
        instant=aim.instant,
        retire_parked=aim.retire_parked,
        home=aim.home,
        keep_failed=aim.keep_failed,
        auto_rollback=aim.auto_rollback,
        hand_over=aim.hand_over,
        smoke=aim.smoke,
        retreat=aim.retreat,
        why=aim.why,
        discard=frozenset(aim.discard),
    )
