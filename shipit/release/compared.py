"""Green against blue, period by period, from the load balancer's own counts: what `errors` and `latency` have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shipit.counts import Count, Minute
from shipit.gate import Facts, Opinion
from shipit.model import Mood
from shipit.periods import ceiling
from shipit.ports import Metrics
from shipit.release.analysis import BASELINE_MINUTES, Answer, Comparison, Finding, Rules

# Requests and bad ones of a fleet by period, between two times.
Counts = Callable[[str, datetime, datetime], Mapping[datetime, Count]]
_NONE = Count(0, 0)
# CloudWatch shows a minute after one to three (field notes A10), and not all of its metrics at once. What looks incomplete is looked at
# again for so many periods more than gates.lag_seconds; then it is taken as it is.
LATE_PERIODS = 3
# A tenth of a minute's requests is still under way when it ends where answers take six seconds.
MOST_UNDER_WAY = 0.1
_MOODS = {Answer.HARM: Mood.BAD, Answer.SAFE: Mood.GOOD, Answer.UNDECIDED: Mood.NOT_YET}


@dataclass
class Ledger:
    """Requests that were never answered, of one side. Those that are under way when a minute ends are answered in the next one: what
    counts is by how many the answers were behind at the ends of two minutes, further than ever before.
    """

    _behind: float = 0.0
    _lost: float = 0.0

    def take(self, count: Count) -> Count:
        """The minute, with those among the bad ones that are known to be lost by now."""
        before, self._behind = self._behind, self._behind + count.unanswered
        lost = max(0.0, min(before, self._behind) - self._lost)
        self._lost += lost
        return Count(count.requests, min(count.requests, count.bad + lost))


def _is_whole(count: Count) -> bool:
    """Whether it looks as if all of the minute was published: requests, and answers to nearly all of them."""
    return count.requests > 0 and count.unanswered <= MOST_UNDER_WAY * count.requests


class Compared:
    """Remembers what it has seen of a release, so that harm is looked for over all stages. Another process begins anew with the
    stage that it finds.
    """

    every_seconds = 5.0
    ends_holds = True

    def __init__(self, rules: Rules, counts: Counts, metrics: Metrics, warm_up_seconds: float, bad: str) -> None:
        self._comparison = Comparison(rules)
        self._counts, self._metrics, self._bad = counts, metrics, bad
        self._warm_up = timedelta(seconds=warm_up_seconds)
        self._stage: datetime | None = None
        self._next: datetime | None = None
        self._opinion = Opinion(Mood.NOT_YET, "nothing was published yet")
        self._green, self._blue = Ledger(), Ledger()

    def check(self) -> None:
        """Raises what is said when counts are asked for: no permission, or a period that is not taken."""
        self._metrics.try_out()

    def judge(self, facts: Facts) -> Opinion:
        period = timedelta(seconds=self._metrics.period_seconds)
        if facts.percent >= 100:
            return Opinion(Mood.GOOD, "nothing to compare with at 100 %: no request goes to the old version")
        if self._stage != facts.since:
            self._begin_stage(facts, period)
        assert self._next is not None
        published = facts.now - timedelta(seconds=self._metrics.lag_seconds)
        end = self._next + period * max(0, (published - self._next) // period)
        if end > self._next:
            self._take(facts, self._next, end, period, complete_before=published - LATE_PERIODS * period)
        return self._opinion

    @property
    def knows_after_seconds(self) -> float:
        """The warm-up, up to a period until the next one begins, and that one once it is published, however late."""
        late = (2 + LATE_PERIODS) * self._metrics.period_seconds
        return self._warm_up.total_seconds() + late + self._metrics.lag_seconds

    def _begin_stage(self, facts: Facts, period: timedelta) -> None:
        start = ceiling(facts.since + self._warm_up, period)
        if self._stage is None:
            before = self._counts(facts.blue, start - BASELINE_MINUTES * period, start)
            ledger = Ledger()
            self._comparison.recall(ledger.take(before[at]) for at in sorted(before))
        self._comparison.begin_stage()
        self._green, self._blue = Ledger(), Ledger()
        self._stage, self._next = facts.since, start
        self._opinion = Opinion(Mood.NOT_YET, "nothing was published yet")

    def _take(self, facts: Facts, start: datetime, end: datetime, period: timedelta, complete_before: datetime) -> None:
        """Minutes in order, each one once. One in which something is missing may not have been published yet: it is waited for."""
        green, blue = (self._counts(fleet, start, end) for fleet in (facts.green, facts.blue))
        at = start
        while at < end:
            minute = Minute(green.get(at, _NONE), blue.get(at, _NONE))
            if at + period > complete_before and not (_is_whole(minute.green) and _is_whole(minute.blue)):
                break
            self._comparison.see(Minute(self._green.take(minute.green), self._blue.take(minute.blue)))
            at += period
        if at == start:
            return
        self._next = at
        finding = self._comparison.finding()
        settled = finding.answer is not Answer.UNDECIDED
        reason = f"{finding.sentence(self._bad)}{_real_share(finding)}"
        self._opinion = Opinion(_MOODS[finding.answer], reason, settled)


def _real_share(finding: Finding) -> str:
    """What green got of the requests, as the balancer counted them: weights are one thing, clients another."""
    requests = finding.green.requests + finding.blue.requests
    return f"; green got {100 * finding.green.requests / requests:.3g} % of the requests" if requests else ""
