"""The sandbox's VPC: a bridge in a network namespace without a name, one link from it to the host, one to every
machine.

The host reaches machines by its route over that link, nothing else on it changes: no firewall rule, no sysctl, no
forwarding. All of it ends with the process that called `Vpc.open`, however that ends, because nobody else holds the
namespace. The way out, where there is one, is slirp4netns: a router in user space, so that connections leave as the
host's own.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from shipit.sandbox import namespaces
from shipit.sandbox.seams import MachineError

POOL = IPv4Network("10.213.0.0/16")
PREFIX = 22

_SLIRP_READY_SECONDS = 5.0
_claims: dict[IPv4Network, socket.socket] = {}


def pick_network() -> IPv4Network:
    """The first /22 of 10.213.0.0/16 that overlaps no address or route of this host; ours until `release_network`, or
    until we die.

    Raises `MachineError` when all are taken.
    """
    taken = list(_networks_in_use())
    for network in POOL.subnets(new_prefix=PREFIX):
        if not any(network.overlaps(other) for other in taken) and _claim(network):
            return network
    raise MachineError(f"No /{PREFIX} of {POOL} is free on this host: {len(taken)} addresses and routes overlap it.")


def release_network(network: IPv4Network) -> None:
    """Gives back what `pick_network` answered."""
    claim = _claims.pop(network, None)
    if claim is not None:
        claim.close()


class Vpc:
    """The bridge and what hangs on it. Belongs to a process with one thread, which enters the namespace to change it.

    AWS keeps the first four addresses of a subnet for itself; so do we: `host` is ours, then `gateway`, then
    `resolver`.
    """

    def __init__(self, network: IPv4Network) -> None:
        self.network = network
        self.host, self.gateway, self.resolver = (network[number] for number in (1, 2, 3))
        self.no_way_out: str | None = "not asked for"
        self._link = f"shipit-{int(network.network_address) & 0xFFFF:04x}"
        self._plugs: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._router: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Raises `MachineError` when another sandbox has this network."""
        self._home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        namespaces.unshare(namespaces.NEW_NETWORK)
        self._inside = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        namespaces.enter(self._home, namespaces.NEW_NETWORK)
        with self._entered():
            ip("link add br0 type bridge mcast_snooping 0", "link set br0 up", "link set lo up")
        ip(f"link add {self._link} type veth peer name host netns /proc/{os.getpid()}/fd/{self._inside}")
        with self._entered():
            ip("link set host master br0 up")
        ip(f"address add {self.host}/{self.network.prefixlen} dev {self._link}", f"link set {self._link} up")
        self.no_way_out = self._open_way_out()

    def plug(self, process: int, address: str) -> None:
        """Gives the network namespace of a process an `eth0` on the bridge. The hardware address follows from the
        address, so that nobody who talked to the machine before it was restarted keeps a stale one.
        """
        self._plugs[address] = link = f"v{next(self._numbers)}"
        hardware = "02:00:" + ":".join(f"{byte:02x}" for byte in IPv4Address(address).packed)
        with self._entered():
            ip(f"link add {link} master br0 up type veth peer name eth0 address {hardware} netns {process}")

    def unplug(self, address: str) -> None:
        """Takes away what was plugged for the address before, in case the kernel has not yet: one connection that
        somebody still holds keeps a dead machine's network alive.
        """
        link = self._plugs.pop(address, None)
        if link:
            with self._entered(), contextlib.suppress(MachineError):
                ip(f"link delete {link}")

    def configure(self, address: str) -> None:
        """Called by the machine itself, in its namespace, once it is plugged."""
        route = [f"route add default via {self.gateway}"] if self.no_way_out is None else []
        ip("link set lo up", f"address add {address}/{self.network.prefixlen} dev eth0", "link set eth0 up", *route)

    def close(self) -> None:
        """Takes the link to the host away now; the kernel would do so a little after the last holder's death."""
        if self._router:
            self._router.kill()
            self._router.wait()
        with contextlib.suppress(MachineError):
            ip(f"link delete {self._link}")

    def _entered(self) -> contextlib.AbstractContextManager[None]:
        return namespaces.inside_network(self._inside, self._home)

    def _open_way_out(self) -> str | None:
        """Starts the router; the answer is why there is none."""
        if shutil.which("slirp4netns") is None:
            return "slirp4netns is not installed (apt-get install slirp4netns)"
        if not Path("/dev/net/tun").exists():
            return "/dev/net/tun is missing"
        if not self._start_router():
            return "slirp4netns did not start"
        with self._entered():
            ip("link set way-out master br0 up")
        return None

    def _start_router(self) -> bool:
        ready, says_ready = os.pipe()
        command = ["slirp4netns", "--netns-type=path", f"--cidr={self.network}", f"--ready-fd={says_ready}"]
        command += ["--disable-host-loopback", f"/proc/{os.getpid()}/fd/{self._inside}", "way-out"]
        self._router = subprocess.Popen(
            command,
            pass_fds=[says_ready],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: namespaces.die_with_parent(signal.SIGKILL),  # safe: this process has one thread
        )
        os.close(says_ready)
        answered, _, _ = select.select([ready], [], [], _SLIRP_READY_SECONDS)
        started = bool(answered) and os.read(ready, 1) == b"1"
        os.close(ready)
        return started


def ip(*commands: str) -> str:
    """Runs iproute2's `ip` in the caller's network namespace. Raises `MachineError` with its words."""
    batch = "".join(f"{command}\n" for command in commands)
    done = subprocess.run(["ip", "-batch", "-"], input=batch, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MachineError(f"ip {'; '.join(commands)}: {done.stderr.strip()}")
    return done.stdout


def _claim(network: IPv4Network) -> bool:
    """An abstract socket is a lock without a file: the kernel drops it with its holder, and it is as wide as the
    routing table.
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0shipit-network-{network}")
    except OSError:
        claim.close()
        return False
    _claims[network] = claim
    return True


def _networks_in_use() -> Iterator[IPv4Network]:
    for link in _ask_ip("-4", "address"):
        for address in link.get("addr_info", []):
            yield IPv4Network(f"{address['local']}/{address['prefixlen']}", strict=False)
    for route in _ask_ip("-4", "route", "show", "table", "all"):
        if route["dst"] != "default":
            yield IPv4Network(route["dst"], strict=False)


def _ask_ip(*words: str) -> Sequence[dict[str, Any]]:
    done = subprocess.run(["ip", "-json", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MachineError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    answer: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return answer
