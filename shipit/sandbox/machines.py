"""`LocalMachines`: the daemon's side of the machines. Thread-safe; it asks the hypervisor and waits for its answer.

Nothing it starts outlives it: whether it is closed, ends by accident or is killed, no process, mount, namespace or
link is left.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from ipaddress import IPv4Network
from pathlib import Path

import shipit
from shipit.sandbox import journal, packets
from shipit.sandbox.network import release_network
from shipit.sandbox.packets import Message
from shipit.sandbox.seams import Boot, MachineError
from shipit.sandbox.ssh import Door, SshServer

_UP_SECONDS = 30.0
_HYPERVISOR = (sys.executable, "-m", "shipit.sandbox.hypervisor")
_Answer = tuple[Message, list[int]]


class LocalMachines:
    """Implements `seams.Machines` with namespaces; needs root.

    `network` is the VPC: its first address is the host's, the next two are the router's and the resolver's, the rest
    are for machines. `state_dir` is made if need be; only an empty folder `machines` appears in it, and goes with
    `close`. `outbound` is why machines cannot reach the world, None if they can.
    """

    def __init__(self, network: IPv4Network, state_dir: Path) -> None:
        self.network = network
        self._folder = state_dir / "machines"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._waiting: dict[int, Future[_Answer]] = {}
        self._boots: dict[str, Boot] = {}
        self._running: dict[str, int] = {}
        self._consoles: dict[str, int] = {}
        self._callbacks: list[Callable[[str], None]] = []
        self._callers = ThreadPoolExecutor(1, thread_name_prefix="machine-exits")
        self._closed = False
        self._ssh = SshServer()
        self._start_hypervisor()

    def boot(self, boot: Boot) -> None:
        with self._lock:
            if boot.instance_id in self._boots:
                raise MachineError(f"{boot.instance_id} exists already")
            self._boots[boot.instance_id] = boot
            console = self._consoles.setdefault(boot.instance_id, journal.open_console())
        try:
            self._bring_up(boot, {"do": "boot", "boot": asdict(boot)}, [console])
        except MachineError:
            self._boots.pop(boot.instance_id, None)
            raise

    def start(self, instance_id: str) -> None:
        boot = self._boots.get(instance_id)
        if boot is None:
            raise MachineError(f"there is no machine {instance_id}")
        self._bring_up(boot, {"do": "start", "instance_id": instance_id})

    def stop(self, instance_id: str, *, grace_seconds: float) -> None:
        self._ssh.close(instance_id)
        self._ask({"do": "stop", "instance_id": instance_id, "grace_seconds": grace_seconds})

    def crash(self, instance_id: str) -> None:
        pid = self._running.get(instance_id)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def destroy(self, instance_id: str) -> None:
        self._ssh.close(instance_id)
        self._ask({"do": "destroy", "instance_id": instance_id})
        self._boots.pop(instance_id, None)

    def is_running(self, instance_id: str) -> bool:
        return instance_id in self._running

    def on_exit(self, callback: Callable[[str], None]) -> None:
        self._callbacks.append(callback)

    def console(self, instance_id: str) -> str:
        with self._lock:
            console = self._consoles.get(instance_id)
            return "" if console is None else journal.read(console)

    def forget(self, instance_id: str) -> None:
        """Drops the console of a machine that was destroyed."""
        with self._lock:
            console = self._consoles.pop(instance_id, None)
        if console is not None:
            os.close(console)

    def snapshot(self, instance_id: str, image_id: str) -> None:
        self._ask({"do": "snapshot", "instance_id": instance_id, "image_id": image_id})

    def drop_image(self, image_id: str) -> None:
        self._ask({"do": "drop_image", "image_id": image_id})

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._ssh.stop()
        try:
            self._ask({"do": "close"})
        except MachineError:
            self._hypervisor.kill()
        self._hypervisor.wait()
        self._listener.join()
        self._control.close()
        self._callers.shutdown(cancel_futures=True)
        for instance_id in list(self._consoles):
            self.forget(instance_id)
        shutil.rmtree(self._folder, ignore_errors=True)
        release_network(self.network)

    def _start_hypervisor(self) -> None:
        if os.geteuid() != 0:
            raise MachineError("Machines need root: they are made of namespaces, mounts and network links.")
        self._control, theirs = packets.pair()
        daemon = os.pidfd_open(os.getpid())
        with packets.closing([daemon]), theirs:
            self._hypervisor = subprocess.Popen(
                [*_HYPERVISOR, str(theirs.fileno()), str(daemon), str(self.network), str(self._folder)],
                env={**os.environ, "PYTHONPATH": str(Path(shipit.__file__).parent.parent)},
                pass_fds=[theirs.fileno(), daemon],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._control.settimeout(_UP_SECONDS)
        said = packets.receive(self._control)
        self._control.settimeout(None)
        if said is None or "error" in said[0]:
            self._hypervisor.wait()
            self._control.close()
            self._ssh.stop()
            raise MachineError(f"The machines' hypervisor did not start: {said[0]['error'] if said else 'it died'}")
        self.outbound: str | None = said[0]["no_way_out"]
        self._listener = threading.Thread(target=self._listen, name="machines", daemon=True)
        self._listener.start()

    def _bring_up(self, boot: Boot, request: Message, files: Sequence[int] = ()) -> None:
        answer, sockets = self._ask(request, files)
        if sockets and boot.authorized_key:
            door = Door(boot.instance_id, answer["pid"], boot.authorized_key)
            self._ssh.serve(door, socket.socket(fileno=sockets[0]))

    def _ask(self, request: Message, files: Sequence[int] = ()) -> _Answer:
        """Sends a request and waits for its answer. Raises `MachineError` with the hypervisor's words."""
        future: Future[_Answer] = Future()
        with self._lock:
            number = next(self._ids)
            self._waiting[number] = future
            try:
                packets.send(self._control, {"id": number, **request}, files)
            except OSError as error:
                del self._waiting[number]
                raise MachineError("The machines' hypervisor is gone.") from error
        return future.result()

    def _listen(self) -> None:
        """The thread that takes answers and events from the hypervisor."""
        while (received := packets.receive(self._control)) is not None:
            message, files = received
            if "exited" in message:
                self._exited(message["exited"])
            else:
                self._answered(message, files)
        self._hypervisor_gone()

    def _answered(self, message: Message, files: list[int]) -> None:
        with self._lock:
            future = self._waiting.pop(message["id"])
        if "error" in message:
            future.set_exception(MachineError(message["error"]))
            return
        # Here, and not where the caller waits: this thread sees starts and stops in the order in which they happened.
        if "pid" in message["ok"]:
            self._running[message["ok"]["instance_id"]] = message["ok"]["pid"]
        self._running.pop(message["ok"].get("down", ""), None)
        future.set_result((message["ok"], files))

    def _exited(self, instance_id: str) -> None:
        self._running.pop(instance_id, None)
        self._ssh.close(instance_id)
        for callback in self._callbacks:
            self._callers.submit(callback, instance_id)

    def _hypervisor_gone(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            future.set_exception(MachineError("The machines' hypervisor is gone."))
        if not self._closed:
            for instance_id in list(self._running):
                self._exited(instance_id)
