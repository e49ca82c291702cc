"""Read lag: after a write, reads of that service answer for a while as they did right before it.

Covers reads that were asked before in the same words (method, query and body), of the last ones that were seen since the rule
was set; others see the write at once. Reads of DynamoDB that ask to be consistent are never behind.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from shipit.sandbox.api import Call
from shipit.sandbox.wire import Answer

READS = ("Describe", "Get", "List", "Query", "Scan", "BatchGet")
_REMEMBERED = 40
Key = tuple[str, str, bytes]


@dataclass(frozen=True)
class _Past:
    """How reads of a service answered right before a write, until they may show it."""

    service: str
    until: float
    answers: dict[Key, Answer]


class Lag:
    """Remembers how to ask again what was asked, and what the answers were before each write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: OrderedDict[Key, Callable[[], Answer]] = OrderedDict()
        self._pasts: list[_Past] = []

    def read(self, call: Call, proceed: Callable[[], Answer]) -> Answer:
        """The answer as it was, where the oldest write that may not be seen yet came after it; else as it is."""
        key = _key(call)
        with self._lock:
            self._asked[key] = proceed
            self._asked.move_to_end(key)
            while len(self._asked) > _REMEMBERED:
                self._asked.popitem(last=False)
            self._pasts = [past for past in self._pasts if past.until > time.monotonic()]
            known = [past.answers[key] for past in self._pasts if key in past.answers]
        return known[0] if known else proceed()

    def before_write(self, call: Call, seconds: float) -> None:
        """Keeps what reads of the service answer now, for that long."""
        with self._lock:
            asked = [(key, again) for key, again in self._asked.items() if key[0] == call.service]
        answers = {key: again() for key, again in asked}
        with self._lock:
            self._pasts.append(_Past(call.service, time.monotonic() + seconds, answers))


def is_read(call: Call) -> bool:
    return call.action.startswith(READS)


def may_be_behind(call: Call) -> bool:
    return is_read(call) and not (call.service == "dynamodb" and b'"ConsistentRead": true' in call.request.body)


def _key(call: Call) -> Key:
    return call.service, call.request.target, call.request.body
