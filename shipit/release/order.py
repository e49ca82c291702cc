"""Which steps of a plan can be done before the world is looked at again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from shipit.release.steps import (
    ClosePreview,
    LeaveAside,
    MarkServing,
    ParkFleet,
    PinFleet,
    Step,
    UnparkFleet,
    UnpinFleet,
)

# Steps that touch neither traffic nor capacity: done one after the other without looking anew in between.
MILD = (ClosePreview, LeaveAside, MarkServing, UnparkFleet, UnpinFleet, PinFleet, ParkFleet)


def up_to_first_that_changes(steps: Sequence[Step]) -> list[Step]:
    """The mild steps at the head, and the one after them."""
    mild = list(takewhile(lambda step: isinstance(step, MILD), steps))
    return [*mild, *steps[len(mild) : len(mild) + 1]]


def possible_now(steps: list[Step], given_up: set[str], wait: bool) -> list[Step]:
    """The next step that is not blocked; or all mild ones at the head, since none of those changes what the others see."""
    blocked = set(given_up)
    batch: list[Step] = []
    for step in steps:
        if step.about in blocked:
            continue
        if step.waits and not wait:
            blocked.add(step.about)
        elif isinstance(step, MILD):
            batch.append(step)
        else:
            return batch or [step]
    return batch
