"""Green against blue, period by period, from the load balancer's own counts: what `errors` and `latency` have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from shipit.counts import Count, Minute
from shipit.gate import Facts, Opinion
from shipit.model import Mood
from shipit.ports import Metrics
from shipit.release.analysis import BASELINE_MINUTES, Answer, Comparison, Finding, Rules

# Requests and bad ones of a fleet by period, between two times.
Counts = Callable[[str, datetime, datetime], Mapping[datetime, Count]]
_NONE = Count(0, 0)
_MOODS = {Answer.HARM: Mood.BAD, Answer.SAFE: Mood.GOOD, Answer.UNDECIDED: Mood.NOT_YET}


class Compared:
    """Remembers what it has seen of a release, so that harm is looked for over all stages. Another process begins anew with the
    stage that it finds.
    """

    every_seconds = 5.0

    def __init__(self, rules: Rules, counts: Counts, metrics: Metrics, warm_up_seconds: float, bad: str) -> None:
        self._comparison = Comparison(rules)
        self._counts, self._metrics, self._bad = counts, metrics, bad
        self._warm_up = timedelta(seconds=warm_up_seconds)
        self._stage: datetime | None = None
        self._next: datetime | None = None
        self._opinion = Opinion(Mood.NOT_YET, "nothing was published yet")

    def check(self) -> None:
        """There is nothing to refuse: what can be wrong is told when it is asked."""

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
            self._take(facts, self._next, end, period)
            self._next = end
        return self._opinion

    def _begin_stage(self, facts: Facts, period: timedelta) -> None:
        start = _ceiling(facts.since + self._warm_up, period)
        if self._stage is None:
            before = self._counts(facts.blue, start - BASELINE_MINUTES * period, start)
            self._comparison.recall(before[at] for at in sorted(before))
        self._comparison.begin_stage()
        self._stage, self._next = facts.since, start
        self._opinion = Opinion(Mood.NOT_YET, "nothing was published yet")

    def _take(self, facts: Facts, start: datetime, end: datetime, period: timedelta) -> None:
        green, blue = (self._counts(fleet, start, end) for fleet in (facts.green, facts.blue))
        for number in range((end - start) // period):
            at = start + number * period
            self._comparison.see(Minute(green.get(at, _NONE), blue.get(at, _NONE)))
        finding = self._comparison.finding()
        settled = finding.answer is not Answer.UNDECIDED
        reason = f"{finding.sentence(self._bad)}{_real_share(finding)}"
        self._opinion = Opinion(_MOODS[finding.answer], reason, settled)


def _real_share(finding: Finding) -> str:
    """What green got of the requests, as the balancer counted them: weights are one thing, clients another."""
    requests = finding.green.requests + finding.blue.requests
    return f"; green got {100 * finding.green.requests / requests:.3g} % of the requests" if requests else ""


def _ceiling(moment: datetime, period: timedelta) -> datetime:
    """The first period that begins then or later."""
    since = moment - datetime(1970, 1, 1, tzinfo=moment.tzinfo)
    return moment + (-since) % period
