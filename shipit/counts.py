"""Requests counted: how many were answered in a minute, and how many of the answers were bad."""

from __future__ import annotations

from shipit.value import value


@value()
class Count:
    """Requests that were answered, and how many of the answers were bad. CloudWatch's counts may be fractions."""

    requests: float
    bad: float

    def __add__(self, other: Count) -> Count:
        return Count(self.requests + other.requests, self.bad + other.bad)

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
