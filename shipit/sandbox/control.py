"""What a machine's process 1 can be asked over its socket: systemctl's verbs, and to run a command for an SSH client.

A connection is one request. `exec` answers `{"pid": …}`, later `{"exit": …}`; when the client hangs up first, what it
had started is killed. The other verbs answer once, `{"code": …, "text": …}`, when systemctl would return.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import termios
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from shipit.sandbox import packets, units
from shipit.sandbox.packets import Message
from shipit.sandbox.processes import PATH, Processes, login
from shipit.sandbox.services import Service, SpawnError
from shipit.sandbox.units import UnitError

_DEAD = 3
_FAILED = 1
_UNKNOWN = 5

# root; and admin, who on Debian's AMIs may become root without a password.
_TRUSTED = (0, 1000)


class Control:
    """Owns the services of a machine and the socket."""

    def __init__(self, processes: Processes, path: str) -> None:
        self._processes = processes
        self._services: dict[str, Service] = {}
        self._waiting: list[tuple[Callable[[], bool], Callable[[], None]]] = []
        self._sessions: dict[int, socket.socket] = {}
        self._verbs: dict[str, Callable[[socket.socket, Message], None]] = {
            "start": self._start,
            "stop": self._stop,
            "restart": self._restart,
            "status": self._status,
            "reset-failed": self._reset_failed,
            "poweroff": lambda _end, _message: self._processes.shut_down(),
        }
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(path)
        Path(path).chmod(0o666)
        self._listener.listen(64)
        processes.watch(self._listener.fileno(), self._accept)
        processes.on_exit += [self._exited]
        processes.on_shutdown = self._stop_all
        processes.after_each = self._answer_waiting

    def start_enabled(self) -> None:
        """Starts the enabled units, each after those that its unit wants to come after, as far as they are enabled
        too.
        """
        pending = units.enabled()
        loaded = {name: _try_load(name) for name in pending}

        def blocked(name: str) -> bool:
            unit = loaded[name]
            first = {other for other in loaded if (unit and other in unit.after) or name in _before(loaded[other])}
            return any(other in pending or self._is_starting(other) for other in first - {name})

        def step() -> bool:
            ready = [name for name in pending if not blocked(name)] or (
                [] if self._any_starting(loaded) else pending[:1]
            )
            for name in ready:
                pending.remove(name)
                self._start_or_say(name)
            return not pending

        self._wait_for(step, lambda: None)
        while pending and not self._any_starting(loaded):
            step()

    def _start_or_say(self, name: str) -> None:
        try:
            self._service(name).start()
        except UnitError as error:
            self._processes.say(str(error))

    def _is_starting(self, name: str) -> bool:
        return name in self._services and self._services[name].state == "activating"

    def _any_starting(self, names: Sequence[str] | dict[str, units.Unit | None]) -> bool:
        return any(self._is_starting(name) for name in names)

    def _accept(self) -> None:
        end, _ = self._listener.accept()
        if _user_behind(end) not in _TRUSTED:
            end.close()
            return
        self._processes.watch(end.fileno(), partial(self._serve, end))

    def _serve(self, end: socket.socket) -> None:
        """The request of a connection, or its end."""
        received = packets.receive(end)
        if received is None:
            self._hung_up(end)
            return
        message, files = received
        with packets.closing(files):
            if message["do"] == "exec":
                self._execute(end, message, files)
            elif message["do"] in self._verbs:
                self._verbs[message["do"]](end, message)
            else:
                _reply(end, {"code": 1, "text": f"Unknown operation {message['do']}."})

    def _execute(self, end: socket.socket, message: Message, files: Sequence[int]) -> None:
        """Runs a shell command, or a login shell, on the three descriptors, or on a new terminal whose other side it
        hands out.
        """
        environment = {"PATH": PATH, "LANG": "C.UTF-8", **message.get("environment", {})}
        with contextlib.ExitStack() as owned:
            ours: list[int] = []
            if "terminal" in message:
                ours, files = _open_terminal(owned, *message["terminal"])
            try:
                who = login(message["user"])
                shell = [who.environment["SHELL"], *(["-c", message["command"]] if message.get("command") else ["-l"])]
                words, folder = message.get("words") or shell, message.get("folder", "~")
                session = (files[0], files[1], files[2])
                pid = self._processes.execute(words, environment, who, folder, session, on_terminal=bool(ours))
            except SpawnError as error:
                _reply(end, {"error": str(error)})
                return
            self._sessions[pid] = end
            _reply(end, {"pid": pid}, ours)

    def _hung_up(self, end: socket.socket) -> None:
        self._processes.unwatch(end.fileno())
        for pid, session in list(self._sessions.items()):
            if session is end:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                del self._sessions[pid]
        end.close()

    def _exited(self, pid: int, status: int) -> None:
        for service in self._services.values():
            service.exited(pid, status)
        session = self._sessions.pop(pid, None)
        if session:
            _reply(session, {"exit": os.waitstatus_to_exitcode(status)})

    def _start(self, end: socket.socket, message: Message) -> None:
        service = self._service(message["unit"])
        try:
            service.start()
        except UnitError as error:
            _reply(end, {"code": _UNKNOWN, "text": f"Failed to start {service.name}: {error}"})
            return
        # A simple service counts as started once it was executed, however soon it ends.
        if service.state == "active":
            _reply(end, {"code": 0, "text": ""})
        else:
            self._wait_for(lambda: _has_settled(service), lambda: self._started(end, service))

    def _started(self, end: socket.socket, service: Service) -> None:
        failed = service.state in ("failed", "activating")
        text = f"Job for {service.name} failed.\nSee the console for details." if failed else ""
        _reply(end, {"code": _FAILED if failed else 0, "text": text})

    def _stop(self, end: socket.socket, message: Message) -> None:
        service = self._service(message["unit"])
        if units.find(service.name) is None and service.state == "inactive":
            _reply(end, {"code": _UNKNOWN, "text": f"Failed to stop {service.name}: Unit {service.name} not loaded."})
            return
        service.stop()
        self._wait_for(lambda: service.state != "deactivating", lambda: _reply(end, {"code": 0, "text": ""}))

    def _restart(self, end: socket.socket, message: Message) -> None:
        service = self._service(message["unit"])
        service.stop()
        self._wait_for(lambda: service.state != "deactivating", lambda: self._start(end, message))

    def _status(self, end: socket.socket, message: Message) -> None:
        service = self._service(message["unit"])
        code = 0 if service.state == "active" else _DEAD
        detail = {"state": service.state, "result": service.result, "pid": service.pid, "restarts": service.restarts}
        _reply(end, {"code": code, "text": service.state, **detail})

    def _reset_failed(self, end: socket.socket, message: Message) -> None:
        self._service(message["unit"]).forgive()
        _reply(end, {"code": 0, "text": ""})

    def _service(self, name: str) -> Service:
        if name not in self._services:
            self._services[name] = Service(name, self._processes)
        return self._services[name]

    def _stop_all(self) -> None:
        for service in self._services.values():
            if service.state in ("active", "activating"):
                service.stop()

    def _wait_for(self, is_true: Callable[[], bool], act: Callable[[], None]) -> None:
        self._waiting.append((is_true, act))

    def _answer_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for is_true, act in waiting:
            if is_true():
                act()
            else:
                self._waiting.append((is_true, act))


def _user_behind(end: socket.socket) -> int:
    """The user id of who connected, as the kernel knows it."""
    _, user_id, _ = struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(user_id)


def _reply(end: socket.socket, message: Message, files: Sequence[int] = ()) -> None:
    with contextlib.suppress(OSError):
        packets.send(end, message, files)


def _open_terminal(owned: contextlib.ExitStack, rows: int, columns: int) -> tuple[list[int], list[int]]:
    """The side that a person sits at, and the other one three times, for a program's streams."""
    outside, inside = os.openpty()
    owned.enter_context(packets.closing([outside, inside]))
    termios.tcsetwinsize(inside, (rows, columns))
    return [outside], [inside] * 3


def _has_settled(service: Service) -> bool:
    """Whether its start succeeded or failed; one that waits for its next try has failed this one."""
    return service.state != "activating" or service.restarts > 0


def _try_load(name: str) -> units.Unit | None:
    try:
        return units.load(name)
    except UnitError:
        return None


def _before(unit: units.Unit | None) -> frozenset[str]:
    return unit.before if unit else frozenset()
