"""The clock of this machine: the only one that lets time really pass."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from shipit.errors import Stopped


class SystemClock:
    """Implements `ports.Clock`. `stop` ends every wait at once with `Stopped`; `nudge` ends one early; `watch` is called
    before and after each and may raise what else ends a command.
    """

    def __init__(self) -> None:
        self._stopped = False
        self._woken = threading.Event()
        self.watch: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        self._check()
        if seconds > 0 and self._woken.wait(seconds):
            self._woken.clear()
        self._check()

    def _check(self) -> None:
        if self._stopped:
            raise Stopped("stopped before the next step", "asked to by a signal", "shipit resume goes on")
        self.watch()

    def stop(self) -> None:
        self._stopped = True
        self._woken.set()

    def nudge(self) -> None:
        """What is waited for may have changed: ends the wait that is on, if there is one."""
        self._woken.set()

    def resume(self) -> None:
        """Lets the last words be said after a stop."""
        self._stopped = False
        self._woken.clear()
