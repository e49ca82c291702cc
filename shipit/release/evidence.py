"""Evidence that may be looked at after every minute: e-processes for the difference of two rates.

An e-process is the wealth of somebody who bets against a null hypothesis, at odds that are fair at best while it holds. It starts
at 1; under the null it ever reaches 1/alpha with a probability of at most alpha, however often it is looked at (Ville's
inequality). So there is no number of looks to plan, and no correction for them.

The null here: in every minute green's rate of bad requests is at most `difference` above blue's (or, on the other side, at
least that far above it). Both rates may change from minute to minute, and need not be known. A minute of `n` green and `m`
blue requests multiplies the wealth by the likelihood ratio of an alternative, chosen before the minute was seen, to that point
of the null which is closest to it by Kullback-Leibler divergence. Its expectation is at most 1 all over the null, for any `n`
and `m`: with f(a, b) = n KL(a*, a) + m KL(b*, b) minimal at (a0, b0) on a convex null, the expectation's logarithm is at most
minus the directional derivative of f at that point towards any other, which is not negative at a minimum.

Harm may begin late: at 50 %, or when a cache is full. A bettor who has lost for an hour would need another hour to notice. So a
fifth of the money is kept back at first, and a small part of what is left of that is put in anew every minute; the wealth is
the sum of all bets and of what is kept, and its expectation still at most 1 (compare J. Shin, A. Ramdas, A. Rinaldo,
"E-detectors", arXiv:2203.03532).

Sources: R. Turner, A. Ly, P. Grünwald, "Generic E-variables for exact sequential k-sample tests that allow for optional
stopping", arXiv:2106.02693; R. Turner, P. Grünwald, "Exact anytime-valid confidence intervals for contingency tables and
beyond", arXiv:2203.09785. What is assumed: within a minute, requests of one side are bad independently of each other. A client
that repeats a bad request a hundred times breaks that; a bad minute that hits both sides does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from shipit.counts import Count, Minute

# Alternatives on the side of harm: green's rate this many times beyond the edge of the null, all given the same weight. Few
# are enough: evidence against the null grows nearly as fast for an alternative that is off by a factor of two.
BEYOND = (0.2, 0.6, 1.8, 5.4, 16.0, 48.0)
# And on the other side: which part of the difference green has after all.
WITHIN = (0.0, 0.4, 0.75)
# The part of the money that is bet from the first minute on; of the rest, one part in so many, and one more every minute.
FROM_THE_START = 0.8
LATER_PARTS = 50
_EDGE = 1e-9
_STEPS = 60
# At a minimum an error this small changes the ratio by its square.
_CLOSE = 1e-6


class Side(StrEnum):
    """What evidence is gathered for: that green is worse than blue by more than the difference, or that it is not."""

    WORSE = "worse"
    NO_WORSE = "no worse"


@dataclass
class Evidence:
    """The e-process of one null hypothesis, fed minute by minute."""

    difference: float
    side: Side
    kept: float = field(init=False, default=1.0)
    _minutes: int = field(init=False, default=0)
    _logs: list[float] = field(init=False, default_factory=list)

    def see(self, minute: Minute, baseline: float) -> None:
        """Takes a minute in. `baseline` is what blue's rate was expected to be before the minute was seen: it decides how fast
        evidence grows, never whether it is valid.
        """
        if not minute.told:
            return
        blue = _inside(baseline)
        alternatives = self._alternatives(blue)
        stake = self._stake() / len(alternatives)
        bets = self._logs or [-math.inf] * len(alternatives)
        self._logs = [
            log_sum(bet, _log(stake)) + log_ratio(minute, green, blue, self.difference)
            for bet, green in zip(bets, alternatives, strict=True)
        ]

    @property
    def log(self) -> float:
        """Natural logarithm of the wealth: of all bets and of what is kept."""
        return log_sum(_log(self.kept), *self._logs)

    def convinces(self, alpha: float) -> bool:
        """Whether the null is refuted; wrong with a probability of at most `alpha` over all looks together."""
        return self.log >= -math.log(alpha)

    def _stake(self) -> float:
        """What is taken from what is kept, to be bet on this minute and those that follow. Nobody turns safe late."""
        part = FROM_THE_START if not self._minutes else 1 / (LATER_PARTS + self._minutes)
        stake = self.kept if self.side is Side.NO_WORSE else part * self.kept
        self.kept, self._minutes = self.kept - stake, self._minutes + 1
        return stake

    def _alternatives(self, blue: float) -> Sequence[float]:
        edge = _inside(blue + self.difference)
        if self.side is Side.NO_WORSE:
            return [_inside(blue + part * self.difference) for part in WITHIN]
        return [min(edge * (1 + step), (1 + edge) / 2) for step in BEYOND]


def log_sum(*logs: float) -> float:
    """The logarithm of the sum of what these are the logarithms of."""
    highest = max(logs)
    return highest if highest == -math.inf else highest + math.log(sum(math.exp(one - highest) for one in logs))


def log_ratio(minute: Minute, green: float, blue: float, difference: float) -> float:
    """How much likelier the minute is under the two rates than under the closest pair of rates that differ by `difference`."""
    closest = closest_null(minute.green.requests, green, minute.blue.requests, blue, difference)
    return _likelier(minute.green, green, _inside(closest + difference)) + _likelier(minute.blue, blue, closest)


def closest_null(n: float, green: float, m: float, blue: float, difference: float) -> float:
    """Blue's rate x that minimises n KL(green, x + difference) + m KL(blue, x): Newton's method within a shrinking bracket."""
    floor, ceiling = max(_EDGE, _EDGE - difference), min(1 - _EDGE, 1 - _EDGE - difference)
    low, high = (min(max(x, floor), ceiling) for x in sorted((blue, green - difference)))
    x = min(max((n * (green - difference) + m * blue) / (n + m), low), high)
    for _ in range(_STEPS):
        # The slope, multiplied by both variances: a cubic, without poles at 0 and 1.
        shifted = x + difference
        over_green, over_blue = shifted * (1 - shifted), x * (1 - x)
        slope = n * (shifted - green) * over_blue + m * (x - blue) * over_green
        if slope > 0:
            high = x
        else:
            low = x
        bend = n * (over_blue + (shifted - green) * (1 - 2 * x)) + m * (over_green + (x - blue) * (1 - 2 * shifted))
        tried = x - slope / bend if bend > 0 else low
        following = tried if low < tried < high else (low + high) / 2
        if abs(following - x) <= _CLOSE * x:
            return following
        x = following
    return x


def _likelier(count: Count, alternative: float, null: float) -> float:
    good = count.requests - count.bad
    ratio = count.bad * math.log(alternative / null) if count.bad else 0.0
    return ratio + (good * (math.log1p(-alternative) - math.log1p(-null)) if good else 0.0)


def _log(amount: float) -> float:
    return math.log(amount) if amount > 0 else -math.inf


def _inside(rate: float) -> float:
    return min(max(rate, _EDGE), 1 - _EDGE)
