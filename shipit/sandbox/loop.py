"""An event loop for a process with one thread: descriptors to read, deaths of processes, and time.

asyncio would do, but the hypervisor forks machines out of the middle of it, and a machine's process 1 must not import
late.
"""

from __future__ import annotations

import contextlib
import heapq
import math
import os
import selectors
import time
from collections.abc import Callable


class Loop:
    """Calls back from `turn`, one event after the other."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timers_made = 0

    def watch(self, descriptor: int, act: Callable[[], None]) -> None:
        """Calls when there is something to read, until `unwatch`."""
        self._selector.register(descriptor, selectors.EVENT_READ, act)

    def unwatch(self, descriptor: int) -> None:
        """Before the descriptor is closed. Unknown ones are fine."""
        with contextlib.suppress(KeyError):
            self._selector.unregister(descriptor)

    def when_dead(self, pid: int, act: Callable[[], None]) -> None:
        """Calls once a child has ended; it is still to be waited for."""
        death = os.pidfd_open(pid)

        def died() -> None:
            self.unwatch(death)
            os.close(death)
            act()

        self.watch(death, died)

    def later(self, delay_seconds: float, act: Callable[[], None]) -> None:
        """Calls once after a delay; never if that is infinite."""
        if not math.isinf(delay_seconds):
            self._timers_made += 1
            heapq.heappush(self._timers, (self.now() + delay_seconds, self._timers_made, act))

    def now(self) -> float:
        return time.monotonic()

    def turn(self) -> None:
        """Waits for the next events and calls back for each."""
        wait = max(0.0, self._timers[0][0] - self.now()) if self._timers else None
        for key, _ in self._selector.select(wait):
            key.data()
        while self._timers and self._timers[0][0] <= self.now():
            heapq.heappop(self._timers)[2]()
