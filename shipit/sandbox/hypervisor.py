"""The process that owns all machines, disks and the network: one thread, so that it may fork and enter namespaces.

`python -m shipit.sandbox.hypervisor FD DAEMON_PIDFD NETWORK FOLDER`: FD is a packet socket on which it takes requests
and answers `{"id": …, "ok": …}` or `{"id": …, "error": …}`, and tells `{"exited": instance id}`. It ends when the
daemon ends, however that happens; then the kernel kills every machine's process 1 and with it the rest, and nothing
holds the mounts and namespaces.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network
from pathlib import Path

from shipit.sandbox import namespaces, packets
from shipit.sandbox.disks import Disks
from shipit.sandbox.launcher import Launcher, Machine, Watchers
from shipit.sandbox.loop import Loop
from shipit.sandbox.network import Vpc
from shipit.sandbox.packets import Message
from shipit.sandbox.seams import Boot, MachineError


class Hypervisor:
    """Takes one message at a time; what takes long is a child process whose end is an event like the others."""

    def __init__(self, control: socket.socket, network: IPv4Network, folder: Path) -> None:
        self._control = control
        self._folder = folder
        self._vpc = Vpc(network)
        self._disks = Disks(folder)
        self._machines: dict[str, Machine] = {}
        self._loop = Loop()
        self._launcher = Launcher(self._loop, self._vpc, self._disks)
        self._verbs: dict[str, Callable[[int, Message, list[int]], None]] = {
            "boot": self._boot,
            "start": self._start,
            "stop": self._stop,
            "destroy": self._destroy,
            "snapshot": self._snapshot,
            "drop_image": self._drop_image,
            "close": self._close,
        }

    def run(self, daemon: int) -> None:
        """Until the daemon's process, of which `daemon` is a pidfd, ends."""
        os.umask(0o022)
        namespaces.unshare(namespaces.NEW_MOUNTS)
        namespaces.make_mounts_private()
        self._disks.open()
        self._vpc.open()
        packets.send(self._control, {"up": True, "no_way_out": self._vpc.no_way_out})
        self._loop.watch(self._control.fileno(), self._take_request)
        self._loop.watch(daemon, lambda: os._exit(0))
        while True:
            try:
                self._loop.turn()
            except Exception:  # noqa: BLE001 - one machine's trouble must not end all the others
                traceback.print_exc()

    def _take_request(self) -> None:
        received = packets.receive(self._control)
        if received is None:
            os._exit(0)
        message, files = received
        try:
            self._verbs[message["do"]](message["id"], message, files)
        except (OSError, MachineError) as error:
            self._refuse(message["id"], str(error))

    def _boot(self, request: int, message: Message, files: list[int]) -> None:
        boot = Boot(**message["boot"])
        if boot.instance_id in self._machines:
            raise MachineError(f"{boot.instance_id} exists already")
        self._disks.create(boot.instance_id, boot.image_id)
        self._machines[boot.instance_id] = Machine(boot, files[0])
        try:
            self._launch(self._machines[boot.instance_id], request)
        except OSError:
            self._forget(self._machines[boot.instance_id])
            raise

    def _start(self, request: int, message: Message, _files: list[int]) -> None:
        machine = self._machine(message)
        if machine.pid:
            raise MachineError(f"{machine.boot.instance_id} runs already")
        self._launch(machine, request)

    def _stop(self, request: int, message: Message, _files: list[int]) -> None:
        machine, grace = self._machine(message), message["grace_seconds"]
        machine.tell_when_down.append(lambda: self._answer(request, {"down": machine.boot.instance_id}))
        pid = machine.pid
        if pid is None:
            self._tell_down(machine)
            return
        os.kill(pid, signal.SIGTERM if grace > 0 else signal.SIGKILL)
        self._loop.later(grace, lambda: os.kill(pid, signal.SIGKILL) if machine.pid == pid else None)

    def _destroy(self, request: int, message: Message, _files: list[int]) -> None:
        name = message["instance_id"]
        machine = self._machines.get(name)
        if machine is None:
            self._answer(request, {"down": name})
            return
        machine.tell_when_down += [lambda: self._forget(machine), lambda: self._answer(request, {"down": name})]
        if machine.pid:
            os.kill(machine.pid, signal.SIGKILL)
        else:
            self._tell_down(machine)

    def _snapshot(self, request: int, message: Message, _files: list[int]) -> None:
        machine = self._machine(message)
        layers, copying = self._disks.copy(message["instance_id"])
        machine.copies += 1

        def copied() -> None:
            _, errors = copying.communicate()
            machine.copies -= 1
            if machine.is_doomed:
                self._forget(machine)
            if copying.returncode:
                self._refuse(request, f"could not copy the disk: {errors.decode().strip()}")
                return
            self._disks.keep(message["image_id"], layers)
            self._answer(request)

        self._loop.when_dead(copying.pid, copied)

    def _drop_image(self, request: int, message: Message, _files: list[int]) -> None:
        self._delete(self._disks.drop_image(message["image_id"]))
        self._answer(request)

    def _close(self, request: int, _message: Message, _files: list[int]) -> None:
        """The kernel ends a process namespace before its first process can be waited for: after that nothing is left."""
        pids = [machine.pid for machine in self._machines.values() if machine.pid]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)
        self._vpc.close()
        self._answer(request)
        os._exit(0)

    def _launch(self, machine: Machine, request: int) -> None:
        """Answers the request once the machine runs, with its SSH listener; a machine that never ran is forgotten."""
        name = machine.boot.instance_id

        def ready(files: Sequence[int]) -> None:
            self._answer(request, {"pid": machine.pid, "instance_id": name}, files)

        def failed(reason: str) -> None:
            self._refuse(request, f"{name} did not boot: {reason}")

        self._launcher.launch(machine, Watchers(ready, failed, lambda: self._down(machine)))

    def _down(self, machine: Machine) -> None:
        if machine.ever_ran and not machine.tell_when_down:
            packets.send(self._control, {"exited": machine.boot.instance_id})
        if not machine.ever_ran:
            machine.tell_when_down.append(lambda: self._forget(machine))
        self._tell_down(machine)

    def _tell_down(self, machine: Machine) -> None:
        waiting, machine.tell_when_down = machine.tell_when_down, []
        for tell in waiting:
            tell()

    def _forget(self, machine: Machine) -> None:
        """Drops the record and the disk of a machine that is down, once the disk is not being copied any more."""
        machine.is_doomed = True
        if machine.pid or machine.copies or self._machines.pop(machine.boot.instance_id, None) is None:
            return
        os.close(machine.console)
        self._delete(self._disks.drop(machine.boot.instance_id))

    def _delete(self, folders: Sequence[Path]) -> None:
        if folders:
            deleting = subprocess.Popen(["rm", "-rf", "--", *folders])
            self._loop.when_dead(deleting.pid, lambda: _reap(deleting))

    def _machine(self, message: Message) -> Machine:
        try:
            return self._machines[message["instance_id"]]
        except KeyError:
            raise MachineError(f"there is no machine {message['instance_id']}") from None

    def _answer(self, request: int, result: Message | None = None, files: Sequence[int] = ()) -> None:
        packets.send(self._control, {"id": request, "ok": result or {}}, files)

    def _refuse(self, request: int, reason: str) -> None:
        packets.send(self._control, {"id": request, "error": reason})


def _reap(ended: subprocess.Popen[bytes]) -> None:
    ended.wait()


def main() -> None:
    control, daemon, network, folder = sys.argv[1:]
    end = socket.socket(fileno=int(control))
    try:
        Hypervisor(end, IPv4Network(network), Path(folder)).run(int(daemon))
    except (OSError, MachineError) as error:
        with contextlib.suppress(OSError):
            packets.send(end, {"error": str(error)})
        sys.exit(1)


if __name__ == "__main__":
    main()
