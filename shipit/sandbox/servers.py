"""HAProxy's servers at run time: what the balancer says over the runtime socket, and nothing else."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence

from shipit.sandbox.haproxy import HaproxyError, RuntimeSocket
from shipit.sandbox.seams import Target

# Idle connections to targets are dropped early: common servers close theirs after 5 s, and a request that meets
# such a closing fails, as it does behind a real ALB (whose own advice is a keep-alive timeout above 60 s).
OPTIONS = "pool-purge-delay 1s"

Rows = Mapping[tuple[str, str], Mapping[str, str]]


class Servers:
    """Servers are named `backend/server`. Every method raises `HaproxyError` when HAProxy objects."""

    def __init__(self, socket: RuntimeSocket) -> None:
        self._socket = socket

    def add(self, name: str, target: Target) -> None:
        """A new server, closed to requests until `set_states` opens it."""
        answer = self._socket.ask(f"add server {name} {target.address}:{target.port} {OPTIONS}")
        if "registered" not in answer:
            raise HaproxyError(f"HAProxy did not take {target.id} at {target.address}:{target.port}: {answer.strip()}")

    def set_states(self, states: Sequence[tuple[str, str]]) -> None:
        """Name and state (`ready`, `drain`, `maint`), in this order. Requests under way finish where they are."""
        answer = self._socket.ask(*[f"set server {name} state {state}" for name, state in states])
        if answer.strip():
            raise HaproxyError(f"HAProxy refused a server state: {answer.strip()}")

    def cut(self, name: str) -> bool:
        """Ends the server's connections and deletes it; False when some connection has not gone yet."""
        closing = f"set server {name} state maint", f"shutdown sessions server {name}"
        return "deleted" in self._socket.ask(*closing, f"del server {name}")

    def rows(self) -> Rows:
        """The rows of `show stat` by backend and server."""
        text = self._socket.ask("show stat -1 4 -1").lstrip("# \n")
        return {(row["pxname"], row["svname"]): row for row in csv.DictReader(text.splitlines()) if row["svname"]}

    def load_routes(self, path: str, version: int) -> None:
        """Replaces the routing table by the file's; the answer proves that new requests follow it."""
        answer = self._socket.ask("shipit load " + path.replace(" ", "\\ "))
        if answer.strip() != f"version {version}":
            raise HaproxyError(f"HAProxy did not take the routing table: {answer.strip()}")
