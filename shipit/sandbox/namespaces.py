"""Linux namespaces, mounts and capabilities: the few system calls that Python 3.11 does not offer.

Every function raises `OSError` with the kernel's errno and names what it was asked to do. Nothing here keeps state.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

NEW_MOUNTS = 0x00020000
NEW_HOSTNAME = 0x04000000
NEW_IPC = 0x08000000
NEW_PROCESSES = 0x20000000
NEW_NETWORK = 0x40000000

READ_ONLY = 0x1
NO_SUID = 0x2
NO_DEVICES = 0x4
NO_EXEC = 0x8
REMOUNT = 0x20
BIND = 0x1000
RECURSIVE = 0x4000
PRIVATE = 0x40000

_DETACH = 0x2
_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_CAPBSET_DROP = 24
_LAST_CAPABILITY = 63
_EINVAL = 22

# What Docker leaves to a container (moby, oci/caps/defaults.go), by number: chown, dac_override, fowner, fsetid, kill,
# setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod, audit_write, setfcap.
_KEPT_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31})

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(kinds: int) -> None:
    """Moves the caller into new namespaces of these kinds; for processes, only children born later are moved."""
    _check(_libc.unshare(kinds), f"unshare {kinds:#x}")


def enter(namespace_fd: int, kind: int = 0) -> None:
    """Moves the caller into the namespace behind the descriptor."""
    _check(_libc.setns(namespace_fd, kind), f"enter the namespace {kind:#x}")


@contextlib.contextmanager
def inside_network(namespace_fd: int, home_fd: int) -> Iterator[None]:
    """The body runs in that network namespace, what it starts too. Only for a process with one thread."""
    enter(namespace_fd, NEW_NETWORK)
    try:
        yield
    finally:
        enter(home_fd, NEW_NETWORK)


def mount(source: str, target: str | Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    result = _libc.mount(source.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _check(result, f"mount {kind or source} on {target}")


def bind_read_only(path: Path) -> None:
    """Makes a path read-only for everybody in this mount namespace, root included."""
    mount(str(path), path, flags=BIND | RECURSIVE)
    mount("", path, flags=BIND | REMOUNT | READ_ONLY | NO_SUID | NO_DEVICES | NO_EXEC)


def make_mounts_private() -> None:
    """Lets no later mount or unmount reach the namespace that this one was copied from."""
    mount("", "/", flags=PRIVATE | RECURSIVE)


def change_root(new_root: Path) -> None:
    """Makes a mount point the root and lets go of the old one (pivot_root(2), the variant without a directory for
    it).
    """
    os.chdir(new_root)
    _check(_libc.pivot_root(b".", b"."), f"pivot to {new_root}")
    _check(_libc.umount2(b".", _DETACH), "let go of the old root")
    os.chdir("/")


def die_with_parent(signal_number: int) -> None:
    """Asks the kernel for this signal when the thread that forked the caller ends. Its parent must have one thread."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "set the parent death signal")


def name_process(name: str) -> None:
    """Sets what `ps` and `top` show, at most 15 bytes."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def drop_capabilities() -> None:
    """Takes from everything that the caller will ever execute what Docker takes from a container. The caller keeps
    its own.
    """
    for number in range(_LAST_CAPABILITY + 1):
        if number in _KEPT_CAPABILITIES or _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) == 0:
            continue
        if ctypes.get_errno() != _EINVAL:
            _check(-1, f"drop capability {number}")


def _check(result: int, what: str) -> None:
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"cannot {what}: {os.strerror(errno)}")
