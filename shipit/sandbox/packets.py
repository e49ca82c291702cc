"""One message a packet, JSON, with open files beside it: how daemon, hypervisor and the machines' inits talk.

Both ends are sequenced-packet Unix sockets, so that a message is whole or absent and descriptors arrive with theirs.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

Message = dict[str, Any]

_LARGEST = 1 << 20
_MOST_FILES = 8


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends with room for a large user data in flight."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        with contextlib.suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LARGEST)
    return ends


def send(end: socket.socket, message: Message, files: Sequence[int] = ()) -> None:
    """Raises `OSError` when nobody listens any more."""
    socket.send_fds(end, [json.dumps(message).encode()], list(files))


def receive(end: socket.socket) -> tuple[Message, list[int]] | None:
    """The next message and its files, which the caller must close; None when the other end is gone."""
    try:
        packet, files, _flags, _address = socket.recv_fds(end, _LARGEST, _MOST_FILES)
    except ConnectionError:
        return None
    return (json.loads(packet), list(files)) if packet else None


@contextlib.contextmanager
def closing(files: Sequence[int]) -> Iterator[None]:
    """Closes the descriptors when the body is done with them."""
    try:
        yield
    finally:
        for descriptor in files:
            os.close(descriptor)
