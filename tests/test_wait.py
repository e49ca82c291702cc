from __future__ import annotations

import pytest

from shipit.errors import Stopped
from shipit.model import Mood, Verdict
from shipit.wait import Pace, retried, until
from tests.fakes.cloud import START, FakeClock

NOT_YET = Verdict(Mood.NOT_YET, "0 of 2 healthy")


def test_waiting_ends_with_the_first_verdict_that_is_good() -> None:
    verdicts = iter([NOT_YET, Verdict(Mood.NOT_YET, "1 of 2 healthy"), Verdict(Mood.GOOD, "2 of 2 healthy")])
    assert until(lambda: next(verdicts), FakeClock(), Pace(), lambda reason: None).good


def test_waiting_ends_with_the_first_verdict_that_is_bad() -> None:
    verdicts = iter([NOT_YET, Verdict(Mood.BAD, "too late")])
    assert until(lambda: next(verdicts), FakeClock(), Pace(), lambda reason: None).reason == "too late"


def test_a_reason_is_told_once_until_it_changes() -> None:
    reasons = iter(["a", "a", "b", "b", "a", ""])
    heard: list[str] = []

    def look() -> Verdict:
        reason = next(reasons)
        return Verdict(Mood.NOT_YET, reason) if reason else Verdict(Mood.GOOD, "done")

    until(look, FakeClock(), Pace(), heard.append)
    assert heard == ["a", "b", "a"]


def test_looks_get_rarer_up_to_the_longest_pause() -> None:
    clock, moments = FakeClock(), []

    def look() -> Verdict:
        moments.append((clock.now() - START).total_seconds())
        return NOT_YET if len(moments) < 6 else Verdict(Mood.GOOD, "")

    until(look, clock, Pace(1, 2, 5), lambda reason: None)
    assert moments == [0, 1, 3, 7, 12, 17]


def test_a_pause_never_overflows_however_long_the_wait() -> None:
    assert Pace(0.5, 1.5, 5).seconds(10**6) == 5


def test_a_stop_ends_the_wait() -> None:
    class Stopping(FakeClock):
        def sleep(self, seconds: float) -> None:
            raise Stopped("stopped")

    with pytest.raises(Stopped):
        until(lambda: NOT_YET, Stopping(), Pace(), lambda reason: None)


def test_a_call_is_tried_again_only_for_the_errors_that_are_meant() -> None:
    tries: list[int] = []

    def call() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise KeyError
        return "done"

    clock = FakeClock()
    assert retried(call, clock, lambda error: isinstance(error, KeyError), 5, Pace(1, 1, 1)) == "done"
    assert (clock.now() - START).total_seconds() == 2
    tries.clear()
    with pytest.raises(KeyError):
        retried(call, clock, lambda error: isinstance(error, ValueError), 5, Pace())
    assert len(tries) == 1


def test_the_last_error_gets_out() -> None:
    def call() -> None:
        raise KeyError("again")

    with pytest.raises(KeyError, match="again"):
        retried(call, FakeClock(), lambda error: True, 3, Pace())
