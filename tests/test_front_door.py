"""Requests through the load balancer, to an app that answers and to one that never ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from shipit.errors import ShipitError
from shipit.front_door import ask

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@pytest.fixture
def dripping() -> Iterator[str]:
    """An app that sends a byte now and then, each of them soon enough for a time limit on reads."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        over = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(HEAD)
                while not over.wait(0.05):
                    connection.sendall(b".")

        thread = threading.Thread(target=drip)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        over.set()
        thread.join()


def test_a_page_that_never_ends_is_given_up(dripping: str) -> None:
    with pytest.raises(ShipitError, match="no whole answer"):
        ask(dripping, {}, 0.3)


def test_nobody_there_is_no_answer() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    with pytest.raises(ShipitError, match="no answer from"):
        ask(url, {}, 1)
