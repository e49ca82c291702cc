"""Requests counted: how many were answered in a minute, and how many of the answers were bad."""

from __future__ import annotations

from shipit.value import value


@value()
class Count:
    """Requests, and how many of the answers were bad. `unanswered` is by how many there were more requests than answers: below zero
    where answers to those of the minute before came as well. CloudWatch's counts may be fractions.
    """

    requests: float
    bad: float
    unanswered: float = 0.0

    def __add__(self, other: Count) -> Count:
        return Count(self.requests + other.requests, self.bad + other.bad, self.unanswered + other.unanswered)

    @property
    def rate(self) -> float:
        """The share of bad ones, 0 to 1; 0 without requests."""
        return self.bad / self.requests if self.requests else 0.0


@value()
class Minute:
    """The same minute on both sides."""

    green: Count
    blue: Count

    @property
    def told(self) -> bool:
        """Whether it says anything about a difference."""
        return self.green.requests > 0 and self.blue.requests > 0
