"""One systemd service at work: starts it, watches it, starts it again as its unit asks, and says so in systemd's words.

`Service` decides; what it needs from the machine is a `System`. Like systemd it gives up on a unit that was started
five times in ten seconds, which is what a crash-looping app looks like on a real instance.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from shipit.sandbox import procfs
from shipit.sandbox.units import Command, Unit, UnitError, load

# What systemd takes for a clean end (systemd.service(5), SuccessExitStatus=).
_CLEAN_SIGNALS = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE}
_SPAWN_FAILED = {"user": "217/USER", "directory": "200/CHDIR", "program": "203/EXEC"}


class SpawnError(Exception):
    """A process could not be started; `step` is `user`, `directory` or `program`."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(reason)
        self.step = step


class System(Protocol):
    """What a service asks of the machine that it runs on."""

    def spawn(
        self, who: str, words: Sequence[str], environment: Mapping[str, str], user: str, group: str | None, folder: str
    ) -> int:
        """Starts a process whose output goes to the console as `who[pid]`. Raises `SpawnError`."""

    def say(self, text: str) -> None: ...

    def later(self, delay_seconds: float, act: Callable[[], None]) -> None: ...

    def now(self) -> float: ...


class Service:
    """States are those of `systemctl is-active`: inactive, activating, active, deactivating, failed."""

    def __init__(self, name: str, system: System) -> None:
        self.name = name
        self.state = "inactive"
        self.pid: int | None = None
        self.result = "success"
        self.restarts = 0
        self._system = system
        self._starts: list[float] = []
        self._queue: list[tuple[Command, bool]] = []
        self._running: tuple[Command, bool] | None = None
        self._era = 0
        self._mark = ""
        self.unit: Unit | None = None

    def start(self) -> None:
        """Reads the unit and starts it, unless it runs. Raises `UnitError`."""
        if self.state in ("active", "activating", "deactivating"):
            return
        self.unit = load(self.name)
        self.restarts = 0
        unmet = self.unit.unmet_condition()
        if unmet:
            self._system.say(
                f"{self.name} - {self.unit.description} was skipped because of an unmet condition check ({unmet})."
            )
            return
        self._begin()

    def stop(self) -> None:
        """SIGTERM to all that it started, SIGKILL after its TimeoutStopSec."""
        self._era += 1
        if self.pid is None and not self.members():
            self.state = "inactive"
            return
        self.state = "deactivating"
        self._queue.clear()
        self._signal(signal.SIGTERM)
        era = self._era
        timeout = self.unit.stop_seconds if self.unit else 90.0
        self._system.later(timeout, lambda: self._signal(signal.SIGKILL) if era == self._era else None)
        self._finish_stop()

    def forgive(self) -> None:
        """Forgets how often it was started, as `systemctl reset-failed` does."""
        self._starts.clear()
        if self.state == "failed":
            self.state, self.result = "inactive", "success"

    def exited(self, pid: int, status: int) -> None:
        """Takes note of any process's end; `status` as of `os.waitpid`."""
        if pid != self.pid:
            if self.state == "deactivating":
                self._finish_stop()
            return
        self.pid = None
        command, is_main = self._running or (None, True)
        code = os.waitstatus_to_exitcode(status)
        if self.state == "deactivating":
            self._finish_stop()
        elif command and (code == 0 or command.may_fail) and (self._queue or not is_main):
            self._next()
        elif command and code == 0 and self._is_forking():
            self._adopt()
        else:
            self._end(0 if command and command.may_fail else code, is_main)

    def members(self) -> list[int]:
        """All processes that it started, grandchildren too: they carry the unit's invocation id, as under systemd."""
        return procfs.marked(self._mark) if self._mark else []

    def _begin(self) -> None:
        assert self.unit
        self._era += 1
        if not self._may_start():
            self._system.say(f"{self.name}: Start request repeated too quickly.")
            self._fail("start-limit-hit")
            return
        self.state, self.result, self._mark = "activating", "success", uuid.uuid4().hex
        for name in self.unit.runtime_directories:
            Path("/run", name).mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(LookupError):
                shutil.chown(Path("/run", name), self.unit.user or "root", self.unit.group)
        self._queue = [(command, False) for command in self.unit.start_pre] + [
            (command, True) for command in self.unit.start
        ]
        self._system.say(f"Starting {self._title()}...") if self._is_oneshot() or self._is_forking() else None
        self._next()

    def _may_start(self) -> bool:
        assert self.unit
        now = self._system.now()
        self._starts = [then for then in self._starts if now - then < self.unit.start_limit_seconds]
        self._starts.append(now)
        return not self.unit.start_limit_burst or len(self._starts) <= self.unit.start_limit_burst

    def _next(self) -> None:
        assert self.unit
        if not self._queue:
            self._end(0, is_main=True)
            return
        self._running = self._queue.pop(0)
        command, is_main = self._running
        try:
            self.pid = self._spawn(command)
        except (SpawnError, UnitError) as error:
            self._could_not_spawn(command, error)
            return
        if is_main and not self._is_oneshot() and not self._is_forking():
            self.state = "active"
            self._system.say(f"Started {self._title()}.")

    def _spawn(self, command: Command) -> int:
        assert self.unit
        environment = self.unit.full_environment() | {"INVOCATION_ID": self._mark}
        words, folder = command.expand(environment), self.unit.working_directory or "/"
        who = self.name.removesuffix(".service")
        return self._system.spawn(who, words, environment, self.unit.user or "root", self.unit.group, folder)

    def _could_not_spawn(self, command: Command, error: Exception) -> None:
        self._system.say(f"{self.name}: Failed to execute {command.words[0] if command.words else ''}: {error}")
        status = _SPAWN_FAILED[error.step] if isinstance(error, SpawnError) else "1/FAILURE"
        self._system.say(f"{self.name}: Main process exited, code=exited, status={status}")
        self._after("exit-code")

    def _end(self, code: int, is_main: bool) -> None:
        """The main process is gone, or one that had to succeed before it was not."""
        clean = code == 0 or -code in _CLEAN_SIGNALS
        if code != 0:
            kind = "Main" if is_main else "Control"
            said = f"code=exited, status={code}/FAILURE" if code > 0 else f"code=killed, status={_signal_name(-code)}"
            self._system.say(f"{self.name}: {kind} process exited, {said}")
        if clean and self._is_oneshot() and code == 0:
            self._system.say(f"Finished {self._title()}.")
            if self.unit and self.unit.remain_after_exit:
                self.state = "active"
                return
        self._signal(signal.SIGKILL)
        self._after("success" if clean else "exit-code" if code > 0 else "signal")

    def _after(self, result: str) -> None:
        assert self.unit
        if result != "success":
            self._fail(result)
        else:
            self.state = "inactive"
            self._system.say(f"{self.name}: Deactivated successfully.") if not self._is_oneshot() else None
        again = {"always": True, "on-failure": result != "success", "on-success": result == "success"}
        again |= {"on-abnormal": result == "signal", "on-abort": result == "signal"}
        if again.get(self.unit.restart, False):
            self._restart_later()

    def _restart_later(self) -> None:
        assert self.unit
        era = self._era
        self.restarts += 1
        self.state = "activating"
        self._system.say(f"{self.name}: Scheduled restart job, restart counter is at {self.restarts}.")
        self._system.later(self.unit.restart_seconds, lambda: self._begin() if era == self._era else None)

    def _fail(self, result: str) -> None:
        self.state, self.result = "failed", result
        self._system.say(f"{self.name}: Failed with result '{result}'.")

    def _finish_stop(self) -> None:
        if not self.members():
            self.state, self.pid = "inactive", None
            self._system.say(f"Stopped {self._title()}.")

    def _adopt(self) -> None:
        """A forking service's parent has gone; its main process is the one that its PIDFile names, else any that is
        left.
        """
        assert self.unit
        self._running = None
        found = self.members()
        named = procfs.pid_in(self.unit.pid_file)
        self.pid = named if named in found else next(iter(found), None)
        self.state = "active" if self.pid else "failed"
        self._system.say(f"Started {self._title()}.")

    def _signal(self, number: int) -> None:
        procfs.send(self.members(), number)

    def _is_oneshot(self) -> bool:
        return self.unit is not None and self.unit.kind == "oneshot"

    def _is_forking(self) -> bool:
        return self.unit is not None and self.unit.kind == "forking"

    def _title(self) -> str:
        description = self.unit.description if self.unit else self.name
        return self.name if description == self.name else f"{self.name} - {description}"


def _signal_name(number: int) -> str:
    return f"{number}/{signal.Signals(number).name.removeprefix('SIG')}"
