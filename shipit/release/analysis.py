"""Whether green answers worse than blue, from the counts of the same minutes: harm, safety, or not known yet, with the figures."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from shipit.counts import Count, Minute
from shipit.release.evidence import Evidence, Side
from shipit.value import value

# How much of blue's past says what to expect of it, and how many requests' worth of doubt there is without any.
BASELINE_MINUTES = 30
PRIOR = Count(100, 0.5)
MOST_ODDS_SHOWN = 1_000_000
_NOTHING = Count(0, 0)
_WIDEST = 0.99
_HALVINGS = 24
_LARGEST_LOG = 50.0


class Answer(StrEnum):
    HARM = "harm"
    SAFE = "safe"
    UNDECIDED = "undecided"


@value()
class Rules:
    """What is called harm. Shares of 1, not percent.

    `tolerance` is the difference of the rates that does no harm, more than 0; `false_alarm` how likely a harmless version may be
    called harmful over all looks of a release, `false_safety` how likely a harmful one may be called safe in a stage. Before
    green has had `least_requests` there is no safety.
    """

    tolerance: float
    false_alarm: float = 0.01
    false_safety: float = 0.05
    least_requests: int = 100


@value()
class Finding:
    """An answer and what it rests on: the requests of the stage, how much harm is suspected, and what is ruled out.

    `odds` are what a bettor against "no harm" has made of 1 over the whole release, `odds_needed` what convinces. A difference of
    the rates of `highest` or more is ruled out by this stage's minutes; 1 when they rule out none.
    """

    answer: Answer
    green: Count
    blue: Count
    odds: float
    odds_needed: float
    highest: float
    tolerance: float

    def sentence(self, bad: str) -> str:
        """`bad` is what a bad request did, as in "12 of 600 failed"."""
        sides = f"green {_share_of(self.green, bad)}, blue {_share_of(self.blue, bad)}"
        if self.answer is Answer.HARM:
            odds = f"{self.odds:.0f}" if self.odds < MOST_ODDS_SHOWN else f"more than {MOST_ODDS_SHOWN:,}"
            return f"{sides}: worse by more than the tolerated {_percent(self.tolerance)}, {odds} to 1"
        if self.answer is Answer.SAFE:
            return f"{sides}: worse by at most {_percent(self.highest)}, {_percent(self.tolerance)} are tolerated"
        if self.highest >= 1:
            return f"{sides}: undecided, too few requests to rule anything out"
        return f"{sides}: undecided, cannot see a difference under {_percent(self.highest)}"


@dataclass
class Comparison:
    """Green against blue over one release. Harm is looked for over all its stages, safety is earned anew in each."""

    rules: Rules
    _harm: Evidence = field(init=False)
    _safety: Evidence = field(init=False)
    _past: deque[Count] = field(init=False)
    _seen: list[tuple[Minute, float]] = field(init=False, default_factory=list)
    harmful: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._harm = Evidence(self.rules.tolerance, Side.WORSE)
        self._safety = Evidence(self.rules.tolerance, Side.NO_WORSE)
        self._past = deque(maxlen=BASELINE_MINUTES)

    def recall(self, blue: Iterable[Count]) -> None:
        """Blue's minutes from before the release, the oldest first: what to expect of it."""
        self._past.extend(blue)

    def begin_stage(self) -> None:
        self._safety = Evidence(self.rules.tolerance, Side.NO_WORSE)
        self._seen.clear()

    def see(self, minute: Minute) -> None:
        """Takes in a minute that is over; minutes come in order, each one once."""
        baseline = self._baseline()
        self._harm.see(minute, baseline)
        self._safety.see(minute, baseline)
        self.harmful = self.harmful or self._harm.convinces(self.rules.false_alarm)
        self._seen.append((minute, baseline))
        if minute.blue.requests:
            self._past.append(minute.blue)

    @property
    def answer(self) -> Answer:
        if self.harmful:
            return Answer.HARM
        enough = self._green.requests >= self.rules.least_requests
        safe = enough and self._safety.convinces(self.rules.false_safety)
        return Answer.SAFE if safe else Answer.UNDECIDED

    def finding(self) -> Finding:
        blue = sum((minute.blue for minute, _ in self._seen), _NOTHING)
        odds = math.exp(min(self._harm.log, _LARGEST_LOG))
        needed, tolerance = 1 / self.rules.false_alarm, self.rules.tolerance
        return Finding(self.answer, self._green, blue, odds, needed, self._highest(), tolerance)

    @property
    def _green(self) -> Count:
        return sum((minute.green for minute, _ in self._seen), _NOTHING)

    def _baseline(self) -> float:
        return sum(self._past, PRIOR).rate

    def _highest(self) -> float:
        """The smallest difference that this stage's minutes rule out, with everything above it: halved until it is narrow."""
        if not self._rules_out(_WIDEST):
            return 1.0
        low, high = 0.0, _WIDEST
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if self._rules_out(middle) else (middle, high)
        return high

    def _rules_out(self, difference: float) -> bool:
        evidence = Evidence(difference, Side.NO_WORSE)
        for minute, baseline in self._seen:
            evidence.see(minute, baseline)
        return evidence.convinces(self.rules.false_safety)


def _share_of(count: Count, bad: str) -> str:
    return f"{count.bad:.0f} of {count.requests:.0f} {bad} ({_percent(count.rate)})"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.0f} %"
