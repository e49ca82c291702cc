"""Brings a machine to life: forks its process 1 into namespaces of its own and talks it through its boot.

Belongs to a process with one thread. What it costs that process is a fork and one call of `ip`; the rest of a boot
happens in the child, so that several machines boot side by side.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from shipit.sandbox import init, namespaces, packets
from shipit.sandbox.disks import Disks
from shipit.sandbox.journal import Journal
from shipit.sandbox.loop import Loop
from shipit.sandbox.network import Vpc
from shipit.sandbox.seams import Boot, MachineError

BOOT_SECONDS = 60.0


@dataclass(frozen=True)
class Watchers:
    """Who is told: `ready` (with the listening socket for SSH, if any) or `failed` (with the reason), then `down`,
    once each.
    """

    ready: Callable[[Sequence[int]], None]
    failed: Callable[[str], None]
    down: Callable[[], None]


@dataclass
class Machine:
    """One instance, from its first boot to its destruction.

    `pid` is that of its process 1 while it runs, `channel` the way to it, `console` a descriptor. `booting` is set until it
    was ready or failed. `copies` are being made of its disk; if it `is_doomed`, it is forgotten after them.
    """

    boot: Boot
    console: int
    pid: int | None = None
    channel: socket.socket | None = None
    booting: Watchers | None = None
    ever_ran: bool = False
    copies: int = 0
    is_doomed: bool = False
    tell_when_down: list[Callable[[], None]] = field(default_factory=list)


class Launcher:
    """See the top of the file."""

    def __init__(self, loop: Loop, vpc: Vpc, disks: Disks) -> None:
        self._loop = loop
        self._vpc = vpc
        self._disks = disks
        self._own_processes = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def launch(self, machine: Machine, watchers: Watchers) -> None:
        """Starts a machine that is down. Raises `OSError` when there can be no process."""
        ours, theirs = packets.pair()
        namespaces.unshare(namespaces.NEW_PROCESSES)
        try:
            pid = os.fork()
            if pid == 0:
                self._be_machine(machine, theirs)
        finally:
            namespaces.enter(self._own_processes, namespaces.NEW_PROCESSES)
        theirs.close()
        machine.pid, machine.channel, machine.booting = pid, ours, watchers
        self._loop.watch(ours.fileno(), lambda: self._hear(machine))
        self._loop.when_dead(pid, lambda: self._down(machine, pid, watchers.down))
        self._loop.later(BOOT_SECONDS, lambda: self._give_up(machine, pid))

    def _be_machine(self, machine: Machine, channel: socket.socket) -> None:
        """The child's life; leaves by `_exit` only, so that nothing of the parent runs twice."""
        try:
            _close_files_but({channel.fileno(), machine.console})
            disk = self._disks.get(machine.boot.instance_id)
            init.main(init.Birth(machine.boot, disk, self._disks.mount_point, self._vpc, machine.console), channel)
        finally:
            os._exit(0)

    def _hear(self, machine: Machine) -> None:
        """`separate`: it has a network namespace, plug it. `ready`: it runs. `error`: it could not."""
        if machine.channel is None:
            return
        received = packets.receive(machine.channel)
        if received is None:
            self._hang_up(machine)
            return
        message, files = received
        with packets.closing(files):
            if "separate" in message:
                self._plug(machine)
            elif "ready" in message:
                self._booted(machine, files)
            else:
                self._failed(machine, message["error"])

    def _plug(self, machine: Machine) -> None:
        if machine.pid is None or machine.channel is None:
            return
        try:
            self._vpc.unplug(machine.boot.address)
            self._vpc.plug(machine.pid, machine.boot.address)
            packets.send(machine.channel, {"plugged": True})
        except (MachineError, OSError) as error:
            self._failed(machine, str(error))

    def _booted(self, machine: Machine, files: Sequence[int]) -> None:
        watchers, machine.booting, machine.ever_ran = machine.booting, None, True
        if watchers:
            watchers.ready(files)

    def _failed(self, machine: Machine, reason: str) -> None:
        watchers, machine.booting = machine.booting, None
        if watchers:
            watchers.failed(reason)
        if machine.pid:
            os.kill(machine.pid, signal.SIGKILL)

    def _give_up(self, machine: Machine, pid: int) -> None:
        if machine.pid == pid and machine.booting:
            self._failed(machine, f"not ready within {BOOT_SECONDS:.0f} s")

    def _down(self, machine: Machine, pid: int, tell: Callable[[], None]) -> None:
        """Its process 1 ended. If it said why, that is still on the channel."""
        os.waitpid(pid, 0)
        machine.pid = None
        while machine.channel:
            self._hear(machine)
        self._failed(machine, "its first process died")
        Journal(machine.console).say("kernel", "System halted.")
        tell()

    def _hang_up(self, machine: Machine) -> None:
        if machine.channel:
            self._loop.unwatch(machine.channel.fileno())
            machine.channel.close()
            machine.channel = None


def _close_files_but(kept: set[int]) -> None:
    """A machine must hold neither the daemon's socket nor its siblings' channels; 0 to 2 become /dev/null."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if int(name) > 2 and int(name) not in kept:
            with contextlib.suppress(OSError):
                os.close(int(name))
