"""SSH into machines: a server in the daemon that listens on each machine's own address, port 22.

Key login only, as root or `admin` (the login of Debian's AMIs). A command is run by the machine's process 1, so it
has the machine's view of everything; when the client goes away, the command is killed.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncssh

from shipit.sandbox.session import attend

_T = TypeVar("_T")


@dataclass(frozen=True)
class Door:
    """How to get into a machine: `pid` is its process 1, `key` the public key line that opens."""

    instance_id: str
    pid: int
    key: str


class SshServer:
    """An event loop in a thread of its own; the methods may be called from any other."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._acceptors: dict[str, asyncssh.SSHAcceptor] = {}
        self._connections: dict[str, set[asyncssh.SSHServerConnection]] = {}
        self._thread = threading.Thread(target=self._loop.run_forever, name="ssh", daemon=True)
        self._thread.start()

    def serve(self, door: Door, listener: socket.socket) -> None:
        """Answers on the listening socket until `close`."""
        self._run(self._serve(door, listener))

    def close(self, instance_id: str) -> None:
        """Hangs up. Unknown ids are fine."""
        self._run(self._close(instance_id))

    def stop(self) -> None:
        for instance_id in list(self._acceptors):
            self.close(instance_id)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _serve(self, door: Door, listener: socket.socket) -> None:
        connections: set[asyncssh.SSHServerConnection] = set()
        self._connections[door.instance_id] = connections
        self._acceptors[door.instance_id] = await asyncssh.listen(
            sock=listener,
            server_host_keys=[self._host_key],
            authorized_client_keys=asyncssh.import_authorized_keys(door.key),
            server_factory=lambda: _Guard(connections),
            process_factory=lambda process: attend(process, door.pid),
            encoding=None,
            line_editor=False,
            allow_scp=False,
            agent_forwarding=False,
        )

    async def _close(self, instance_id: str) -> None:
        """Connections too: each holds the network namespace of its machine, with the address."""
        acceptor = self._acceptors.pop(instance_id, None)
        if acceptor:
            acceptor.close()
        for connection in list(self._connections.pop(instance_id, ())):
            connection.abort()


class _Guard(asyncssh.SSHServer):
    """Admits by key only, and knows who is connected. Which users exist is the session's question."""

    def __init__(self, connections: set[asyncssh.SSHServerConnection]) -> None:
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return False

    def kbdint_auth_supported(self) -> bool:
        return False
