"""Waiting with a deadline, a reason that is shown, and a way to stop: the only place with tenacity.

tenacity reads a clock of its own for its time limits; here the probe decides when it has been too long, on our clock. It is
imported when somebody waits: a rollback to a fleet that is alive does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from shipit.model import Mood, Verdict
from shipit.ports import Clock
from shipit.value import value

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")
Probe = Callable[[], Verdict]


@value()
class Pace:
    """Seconds between looks: the first wait, how fast it grows, and the longest one."""

    first_seconds: float = 0.5
    growth: float = 1.5
    longest_seconds: float = 5.0

    def seconds(self, attempt: int) -> float:
        return min(self.longest_seconds, self.first_seconds * self.growth ** min(attempt - 1, 64))


def until(probe: Probe, clock: Clock, pace: Pace, told: Callable[[str], None]) -> Verdict:
    """Looks until the verdict is good or bad, and returns it. `told` hears the reason whenever it changes.

    The probe owns the deadline: it must turn bad when it has been too long. Raises `errors.Stopped` as `clock.sleep` does.
    """
    from tenacity import Retrying, retry_if_result, stop_never

    heard: list[str] = []

    def tell(state: RetryCallState) -> None:
        verdict: Verdict = state.outcome.result()  # type: ignore[union-attr]
        if [verdict.reason] != heard:
            heard[:] = [verdict.reason]
            told(verdict.reason)

    retrying = Retrying(
        retry=retry_if_result(lambda verdict: verdict.mood is Mood.NOT_YET),
        wait=lambda state: pace.seconds(state.attempt_number),
        stop=stop_never,
        sleep=clock.sleep,
        before_sleep=tell,
    )
    return retrying(probe)


def retried(call: Callable[[], T], clock: Clock, when: Callable[[BaseException], bool], attempts: int, pace: Pace) -> T:
    """Calls again while it raises what `when` holds for, at most `attempts` times; the last error gets out."""
    from tenacity import Retrying, retry_if_exception, stop_after_attempt

    retrying = Retrying(
        retry=retry_if_exception(when),
        wait=lambda state: pace.seconds(state.attempt_number),
        stop=stop_after_attempt(attempts),
        sleep=clock.sleep,
        reraise=True,
    )
    return retrying(call)
