"""However the daemon ends, nothing of it stays; and several sandboxes stand side by side."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import shipit
from shipit.sandbox.machines import LocalMachines
from shipit.sandbox.network import POOL, PREFIX, pick_network, release_network
from shipit.sandbox.seams import Boot, MachineError
from shipit.sandbox.state import start_time

pytestmark = pytest.mark.sandbox

DAEMON = """
import sys, time
from pathlib import Path
from shipit.sandbox.machines import LocalMachines
from shipit.sandbox.network import pick_network
from shipit.sandbox.seams import Boot

network = pick_network()
machines = LocalMachines(network, Path(sys.argv[1]))
script = "#!/bin/sh\\nsleep 98765 & exec setsid sleep 98765\\n"
for number in (10, 11):
    machines.boot(Boot(f"i-{number}", str(network[number]), f"ip-{number}", "base", script))
print(network, flush=True)
time.sleep(600)
"""


@dataclass(frozen=True)
class Traces:
    """What a daemon has on the host: it and its descendants, their namespaces, and its network."""

    pids: frozenset[int]
    namespaces: frozenset[str]
    links: frozenset[str]
    youngest: int

    def left(self) -> list[str]:
        """What of it is still there. Others come and go meanwhile, and the kernel hands them the same numbers: only
        processes count that are as old as these, and links with their index.
        """
        alive = [f"process {pid}" for pid in self.pids if namespaces_of(pid) and self.is_old(pid)]
        pids = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
        held = {name for pid in pids if self.is_old(pid) for name in namespaces_of(pid)}
        mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if "shipit" in line.split()[0]]
        return [*alive, *(held & self.namespaces), *mounts, *(self.links & set(addresses()))]

    def is_old(self, pid: int) -> bool:
        began = start_time(pid)
        return began is not None and began <= self.youngest


def addresses() -> list[str]:
    """`302: shipit-3000 inet 10.213.48.1/22 …`: the index is never used again."""
    return subprocess.run(["ip", "-o", "address"], capture_output=True, text=True, check=True).stdout.splitlines()


def traces(daemon: int, network: str) -> Traces:
    pids = descendants(daemon)
    own = namespaces_of(os.getpid())
    names = {name for pid in pids for name in namespaces_of(pid)} - own
    prefix = network.split("/")[0].rpartition(".")[0] + "."
    links = frozenset(line for line in addresses() if f" {prefix}" in line)
    youngest = max(filter(None, map(start_time, pids)))
    return Traces(frozenset(pids), frozenset(names), links, youngest)


def descendants(pid: int) -> set[int]:
    children = Path(f"/proc/{pid}/task").glob("*/children")
    found = [int(child) for path in children for child in path.read_text().split()]
    return {pid}.union(*(descendants(child) for child in found))


def namespaces_of(pid: int) -> set[str]:
    """Empty for a process that is gone, or only not waited for yet."""
    found = set()
    for kind in ("mnt", "net", "pid", "uts", "ipc"):
        with contextlib.suppress(OSError):
            found.add(str(Path(f"/proc/{pid}/ns/{kind}").readlink()))
    return found


def until(is_true: Callable[[], object], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_a_killed_daemon_leaves_nothing(how: signal.Signals, tmp_path: Path) -> None:
    daemon = subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(shipit.__file__).parent.parent)},
    )
    assert daemon.stdout
    network = daemon.stdout.readline().strip()
    until(lambda: len(descendants(daemon.pid)) >= 8)
    had = traces(daemon.pid, network)
    assert len(had.namespaces) >= 2 * 5
    assert len(had.left()) > 10
    daemon.send_signal(how)
    daemon.communicate()
    until(lambda: not had.left(), seconds=15)
    assert list((tmp_path / "machines").iterdir()) == []


def test_a_killed_hypervisor_takes_its_machines_along_and_is_noticed(tmp_path: Path) -> None:
    machines = LocalMachines(pick_network(), tmp_path)
    told: list[str] = []
    machines.on_exit(told.append)
    machines.boot(Boot("i-10", str(machines.network[10]), "ip-10", "base"))
    had = traces(machines._hypervisor.pid, str(machines.network))
    machines._hypervisor.kill()
    until(lambda: told == ["i-10"])
    with pytest.raises(MachineError, match="hypervisor is gone"):
        machines.snapshot("i-10", "ami-1")
    machines.close()
    until(lambda: not had.left(), seconds=15)


def test_close_leaves_nothing_at_once(tmp_path: Path) -> None:
    machines = LocalMachines(pick_network(), tmp_path)
    machines.boot(Boot("i-10", str(machines.network[10]), "ip-10", "base", "#!/bin/sh\nexec sleep 98765"))
    had = traces(machines._hypervisor.pid, str(machines.network))
    machines.close()
    machines.close()
    assert had.left() == []
    assert list(tmp_path.iterdir()) == []


def test_networks_are_claimed_one_by_one() -> None:
    networks = [pick_network() for _ in range(3)]
    assert len(set(networks)) == 3
    assert all(network.prefixlen == PREFIX and network.subnet_of(POOL) for network in networks)
    for network in networks:
        release_network(network)


def test_a_network_of_a_running_sandbox_is_refused(tmp_path: Path) -> None:
    machines = LocalMachines(pick_network(), tmp_path / "a")
    with pytest.raises(MachineError, match="did not start"):
        LocalMachines(machines.network, tmp_path / "b")
    machines.close()
