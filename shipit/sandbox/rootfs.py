"""The file system of one machine, as its first process makes it: overlays, /proc, /sys, /dev, then a new root.

Runs in mount, network, hostname and process namespaces that are already the machine's own.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from ipaddress import IPv4Address
from pathlib import Path

from shipit.sandbox import namespaces
from shipit.sandbox.disks import Disk
from shipit.sandbox.namespaces import NO_DEVICES, NO_EXEC, NO_SUID, READ_ONLY

_DEVICES = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}
_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2", "ptmx": "pts/ptmx"}
_KERNEL_SWITCHES = ("sys", "sysrq-trigger", "irq", "bus")
_TOLD_SECRETS = ("kcore", "keys", "timer_list")

# A service may listen on port 80 as any user, as in a container; a machine that comes (back) up says so to its
# neighbours.
_NETWORK_SETTINGS = {
    "net/ipv4/ip_unprivileged_port_start": "0",
    "net/ipv4/conf/all/arp_notify": "1",
    "net/ipv4/conf/default/arp_notify": "1",
}


def tune_network() -> None:
    """Settings of the network namespace; before its link comes up."""
    for name, value in _NETWORK_SETTINGS.items():
        with contextlib.suppress(OSError):
            Path("/proc/sys", name).write_text(value)


def enter(disk: Disk, mount_point: Path, hostname: str, address: str, resolver: str | None) -> None:
    """Makes the disk the caller's root, with all that a running system mounts, and gives it its identity."""
    disk.mount(mount_point)
    _mount_kernel_views(mount_point)
    _mount_devices(mount_point / "dev")
    _mount_memory(mount_point)
    namespaces.change_root(mount_point)
    _take_identity(hostname, address, resolver)


def _mount_kernel_views(root: Path) -> None:
    namespaces.mount("proc", root / "proc", "proc", NO_SUID | NO_DEVICES | NO_EXEC)
    for name in _KERNEL_SWITCHES:
        if (root / "proc" / name).exists():
            namespaces.bind_read_only(root / "proc" / name)
    for name in _TOLD_SECRETS:
        if (root / "proc" / name).exists():
            namespaces.mount("/dev/null", root / "proc" / name, flags=namespaces.BIND)
    # Some containers may not mount sysfs; nothing that a web app does needs it.
    with contextlib.suppress(OSError):
        namespaces.mount("sysfs", root / "sys", "sysfs", READ_ONLY | NO_SUID | NO_DEVICES | NO_EXEC)


def _mount_devices(dev: Path) -> None:
    namespaces.mount("dev", dev, "tmpfs", NO_SUID | NO_EXEC, "mode=0755,size=64k")
    for name, (major, minor) in _DEVICES.items():
        os.mknod(dev / name, stat.S_IFCHR, os.makedev(major, minor))
        (dev / name).chmod(0o666)
    for name, target in _LINKS.items():
        (dev / name).symlink_to(target)
    for name in ("pts", "shm"):
        (dev / name).mkdir()
    namespaces.mount("devpts", dev / "pts", "devpts", NO_SUID | NO_EXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5")
    namespaces.mount("shm", dev / "shm", "tmpfs", NO_SUID | NO_DEVICES, "mode=1777")


def _mount_memory(root: Path) -> None:
    """What is empty after every boot and never part of an image."""
    namespaces.mount("run", root / "run", "tmpfs", NO_SUID | NO_DEVICES, "mode=0755")
    namespaces.mount("tmp", root / "tmp", "tmpfs", NO_SUID | NO_DEVICES, "mode=1777")
    (root / "run/lock").mkdir()
    (root / "run/lock").chmod(0o1777)


def _take_identity(hostname: str, address: str, resolver: str | None) -> None:
    socket.sethostname(hostname)
    Path("/etc/hostname").write_text(f"{hostname}\n")
    Path("/etc/hosts").write_text(f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n{address} {hostname}\n")
    Path("/etc/resolv.conf").write_text(f"nameserver {resolver}\n" if resolver else "")
    Path("/etc/machine-id").write_text(f"{int(IPv4Address(address)):032x}\n")
