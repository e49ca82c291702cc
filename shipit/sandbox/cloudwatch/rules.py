"""The rules of composite alarms: `ALARM("a") AND NOT (OK(b) OR INSUFFICIENT_DATA(c))`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_TOKEN = re.compile(
    r'\s*(?:(?P<word>AND|OR|NOT|TRUE|FALSE|[()])|(?P<state>OK|ALARM|INSUFFICIENT_DATA)\s*\(\s*(?P<name>"[^"]*"|[^\s()"]+)\s*\))'
)
State = Callable[[str], str]


class RuleError(ValueError):
    """A rule that cannot be read."""


def holds(rule: str, state_of: State) -> bool:
    """Whether the rule holds, given the state of an alarm by name (or ARN). Raises `RuleError`."""
    return _Reader(rule, state_of).whole()


def alarms(rule: str) -> set[str]:
    """The alarms that a rule names. Raises `RuleError`."""
    named: set[str] = set()

    def note(name: str) -> str:
        named.add(name)
        return "OK"

    holds(rule, note)
    return named


class _Reader:
    """AND binds closer than OR, NOT closer than both. Every part is read, whatever the others say."""

    def __init__(self, rule: str, state_of: State) -> None:
        self._rule, self._state_of = rule, state_of
        self._tokens: Iterator[re.Match[str]] = self._read()
        self._next: re.Match[str] | None = next(self._tokens, None)

    def whole(self) -> bool:
        found = self._either()
        if self._next is not None:
            raise RuleError(f"AlarmRule must not contain anything after a complete expression: {self._rule}")
        return found

    def _read(self) -> Iterator[re.Match[str]]:
        at, rule = 0, self._rule.strip()
        while at < len(rule):
            found = _TOKEN.match(rule, at)
            if found is None:
                raise RuleError(f"AlarmRule cannot be read at {rule[at : at + 20]!r}")
            at = found.end()
            yield found

    def _take(self, word: str) -> bool:
        if self._next is None or self._next["word"] != word:
            return False
        self._next = next(self._tokens, None)
        return True

    def _either(self) -> bool:
        found = self._both()
        while self._take("OR"):
            found = self._both() or found
        return found

    def _both(self) -> bool:
        found = self._one()
        while self._take("AND"):
            found = self._one() and found
        return found

    def _one(self) -> bool:
        if self._take("NOT"):
            return not self._one()
        if self._take("("):
            found = self._either()
            if not self._take(")"):
                raise RuleError(f"AlarmRule lacks a closing parenthesis: {self._rule}")
            return found
        if self._take("TRUE"):
            return True
        if self._take("FALSE"):
            return False
        return self._state()

    def _state(self) -> bool:
        token = self._next
        if token is None or token["state"] is None:
            raise RuleError(f"AlarmRule is not complete: {self._rule}")
        self._next = next(self._tokens, None)
        name = token["name"].strip('"').rpartition(":alarm:")[2]
        return self._state_of(name) == token["state"]
