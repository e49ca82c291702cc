"""One bake of an image at a time on this machine; between machines the builders' tags and the AMI's name decide."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def only_one(folder: Path, name: str, wait: Callable[[], None]) -> Iterator[None]:
    """Holds the lock of that name, a file in `folder`; `wait` is called between tries, and gives up by raising.

    The kernel drops the lock when the process dies, however it dies.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as file:
        while not _try(file.fileno()):
            wait()
        yield


def _try(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
