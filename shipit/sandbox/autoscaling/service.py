"""Auto Scaling for the sandbox, started and stopped."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock, Thread

from shipit.sandbox.autoscaling.reconcile import Pace, Reconciler
from shipit.sandbox.autoscaling.seams import Clock, Ec2, TargetGroups
from shipit.sandbox.autoscaling.world import World

WORKERS = 16
log = logging.getLogger(__name__)


class AutoScaling:
    """The service: state, and the loop that makes it true. `api.install` gives it a wire.

    Before `start` and after `stop` nothing moves by itself; `tick` does one round then, with all its work.
    """

    def __init__(self, ec2: Ec2, target_groups: TargetGroups, clock: Clock, pace: Pace | None = None) -> None:
        self.world = World()
        self.ec2 = ec2
        self.target_groups = target_groups
        self.clock = clock
        self.pace = pace or Pace()
        self._pool: ThreadPoolExecutor | None = None
        self._thread: Thread | None = None
        self._stopping = Event()
        self._ticking = Lock()
        self._reconciler = Reconciler(self.world, ec2, target_groups, clock, self._submit, self.pace)

    def start(self) -> None:
        self._stopping.clear()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="autoscaling-work")
        self._thread = Thread(target=self._loop, name="autoscaling", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the loop and waits for launches and terminations under way. Instances and groups stay as they are."""
        self._stopping.set()
        if self._thread:
            self._thread.join()
        if self._pool:
            self._pool.shutdown(wait=True, cancel_futures=True)
        self._thread = self._pool = None

    def tick(self) -> None:
        with self._ticking:
            self._reconciler.tick()

    def _loop(self) -> None:
        while not self._stopping.wait(self.pace.tick_seconds):
            self.tick()

    def _submit(self, work: Callable[[], None]) -> None:
        if self._pool:
            self._pool.submit(_logged, work)
        else:
            work()


def _logged(work: Callable[[], None]) -> None:
    """Runs work on a thread that nobody asks for its result."""
    try:
        work()
    except Exception:
        log.exception("Auto Scaling: work on an instance failed")
