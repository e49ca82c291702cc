"""Process 1 of a machine: brings it up, starts what is enabled, runs user data once, answers systemctl and SSH.

`main` runs in a fork of the hypervisor. Its `channel` first gets `{"plugged": …}`, then says `{"ready": …}` with the
socket on which SSH will be served. Everybody else talks to it over /run/init.sock (root and admin only), one request a
connection: `{"do": "start", "unit": …}` and the like, or `{"do": "exec", "command": …, "user": …}` with three
descriptors.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from shipit.sandbox import namespaces, packets, rootfs
from shipit.sandbox.control import Control
from shipit.sandbox.disks import Disk
from shipit.sandbox.journal import Journal
from shipit.sandbox.network import Vpc
from shipit.sandbox.processes import Processes
from shipit.sandbox.seams import Boot

SOCKET = "/run/init.sock"
_CLOUD = Path("/var/lib/cloud")


@dataclass(frozen=True)
class Birth:
    """What a machine gets from the hypervisor; `console` is a descriptor."""

    boot: Boot
    disk: Disk
    mount_point: Path
    vpc: Vpc
    console: int


def main(birth: Birth, channel: socket.socket) -> None:
    """Becomes the machine. Returns when it was shut down."""
    journal = Journal(birth.console)
    try:
        listener = _bring_up(birth, channel)
        processes = Processes(journal)
        control = Control(processes, SOCKET)
    except Exception as error:  # noqa: BLE001 - whatever it is, the hypervisor has to hear of it
        packets.send(channel, {"error": str(error)})
        return
    journal.say("systemd[1]", f"Hostname set to <{birth.boot.hostname}>.")
    control.start_enabled()
    packets.send(channel, {"ready": True}, [listener.fileno()] if listener else [])
    if listener:
        listener.close()
    _run_user_data(birth.boot, processes, journal)
    processes.run()


def _bring_up(birth: Birth, channel: socket.socket) -> socket.socket | None:
    namespaces.die_with_parent(signal.SIGKILL)
    namespaces.name_process("init")
    os.setsid()
    namespaces.unshare(
        namespaces.NEW_MOUNTS | namespaces.NEW_NETWORK | namespaces.NEW_HOSTNAME | namespaces.NEW_IPC,
    )
    packets.send(channel, {"separate": True})
    disk, boot = birth.disk, birth.boot
    resolver = str(birth.vpc.resolver) if birth.vpc.no_way_out is None else None
    if packets.receive(channel) is None:
        sys.exit(0)
    rootfs.tune_network()
    birth.vpc.configure(boot.address)
    listener = socket.create_server(("0.0.0.0", 22), backlog=64) if boot.authorized_key else None
    rootfs.enter(disk, birth.mount_point, boot.hostname, boot.address, resolver)
    namespaces.drop_capabilities()
    return listener


def _run_user_data(boot: Boot, processes: Processes, journal: Journal) -> None:
    """As cloud-init's final stage: once per instance id, so an image made from this machine runs its own."""
    folder = _CLOUD / "instances" / boot.instance_id
    marker = folder / "sem" / "config_scripts_user"
    if marker.exists():
        return
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()
    if not boot.user_data:
        return
    if not boot.user_data.startswith("#!"):
        journal.say("cloud-init", "user data is not a script (#!) and was ignored")
        return
    script = folder / "user-data"
    script.write_text(boot.user_data)
    script.chmod(0o700)
    processes.spawn_or_say("cloud-init", [str(script)])
