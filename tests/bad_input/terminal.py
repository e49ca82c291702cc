"""Where bad input is typed: a project, a terminal that keeps what was said, and doors to the outside that report a touch."""

from __future__ import annotations

import gc
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import botocore.session

from shipit.cli import main as command_line

SLOW_SECONDS = 10.0
GOOD = """\
app: hello
region: eu-west-1
run:
  command: /usr/bin/python3 server.py
fleet:
  subnets: [subnet-0a]
traffic:
  listener: arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/lb/0123456789abcdef/0123456789abcdef
"""
GOOD_AWS = "[profile shop]\nregion = eu-west-1\n"
# The only program that may be started to find out that something is wrong.
HARMLESS = ("git",)


class Touched(BaseException):
    """Something outside of this machine was reached for; not an `Exception`, so that no handler of ours can hide it."""


class Hung(BaseException):
    """A command that does not end."""


@dataclass(frozen=True)
class Said:
    """How a command ended, what it said, and what it reached for."""

    code: int
    out: str
    err: str
    touched: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def all(self) -> str:
        return self.out + self.err


@dataclass(frozen=True)
class Project:
    """A git repository with a valid shipit.yml, tagged v1, a home folder, and files that are none."""

    folder: Path
    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def made(cls, base: Path) -> Project:
        folder, home = base / "hello", base / "home"
        for made in (folder, home):
            made.mkdir()
        (folder / "shipit.yml").write_text(GOOD)
        (home / "aws").write_text(GOOD_AWS)
        _fill_with_oddities(base / "odd")
        git = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@example.invalid"]
        for words in (["init", "-q"], ["add", "--all"], ["commit", "-q", "-m", "v1"], ["tag", "v1"]):
            subprocess.run([*git, *words], check=True)
        return cls(folder, home, _environment(home))

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def reset(self) -> None:
        for path in self.folder.iterdir():
            if path.name not in (".git", "shipit.yml"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def run(self, words: Sequence[str], text: bytes | None = None, variables: Mapping[str, str] | None = None) -> Said:
        """Types the words in this folder, with `text` as shipit.yml when given."""
        (self.folder / "shipit.yml").write_bytes(GOOD.encode() if text is None else text)
        began = time.monotonic()
        out, err = _stream("strict"), _stream("backslashreplace")
        with ExitStack() as stack:
            touched = stack.enter_context(closed_doors())
            stack.enter_context(_surroundings(self.folder, {**self.environment, **(variables or {})}, words))
            stack.enter_context(redirect_stdout(out))
            stack.enter_context(redirect_stderr(err))
            code = _exit_code()
        return Said(code, _text(out), _text(err), tuple(touched), time.monotonic() - began)


@contextmanager
def closed_doors() -> Iterator[list[str]]:
    """Clients of AWS, connections and programs are refused and listed; an AWS client that cannot be made is none."""
    touched: list[str] = []

    def close(what: str) -> None:
        touched.append(what)
        raise Touched(what)

    with ExitStack() as stack:
        for owner, name, door in _doors(close):
            stack.enter_context(mock.patch.object(owner, name, door))
        yield touched


def _doors(close: Callable[[str], None]) -> list[tuple[Any, str, Any]]:
    make, start = botocore.session.Session.create_client, subprocess.Popen.__init__

    def create_client(self: Any, service: str, *rest: Any, **named: Any) -> None:
        make(self, service, *rest, **named)
        close(f"a client of {service}")

    def connect(_: socket.socket, address: object) -> None:
        close(f"connect to {address}")

    def look_up(host: object, *_: object, **__: object) -> None:
        close(f"address of {host}")

    def popen(self: Any, words: Sequence[str], *rest: Any, **named: Any) -> None:
        # doctor asks what is here, its version for one, before it asks AWS.
        if words[0] not in HARMLESS and words[1] != "version":
            close(f"start of {words[0]}")
        start(self, words, *rest, **named)

    return [
        (botocore.session.Session, "create_client", create_client),
        (socket.socket, "connect", connect),
        (socket.socket, "connect_ex", connect),
        (socket, "getaddrinfo", look_up),
        (subprocess.Popen, "__init__", popen),
        # It keeps all garbage for ever, which suits a process that ends.
        (gc, "freeze", lambda: None),
    ]


def _exit_code() -> int:
    try:
        command_line.main()
    except SystemExit as left:
        return int(left.code or 0)
    except Touched:
        return -1
    except Hung:
        return -2
    return 0


@contextmanager
def _surroundings(folder: Path, environment: Mapping[str, str], words: Sequence[str]) -> Iterator[None]:
    """The folder, variables, arguments and closed standard input of one command; its signal handlers do not outlive it."""
    before, numbers = Path.cwd(), (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    handlers = {number: signal.getsignal(number) for number in numbers}
    os.chdir(folder)
    signal.signal(signal.SIGALRM, _hang)
    left, _ = signal.setitimer(signal.ITIMER_REAL, SLOW_SECONDS)
    try:
        with (
            mock.patch.dict(os.environ, environment, clear=True),
            mock.patch.object(sys, "argv", ["shipit", *words]),
            Path(os.devnull).open() as nothing,
            mock.patch.object(sys, "stdin", nothing),
        ):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.chdir(before)


def _hang(_number: int, _frame: object) -> None:
    raise Hung


def _environment(home: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_STATE_HOME": str(home / "state"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "SHIPIT_SANDBOX": "not-up",
        "AWS_CONFIG_FILE": str(home / "aws"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "credentials"),
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _fill_with_oddities(folder: Path) -> None:
    """What can stand where a file is expected: beside the project, at ../odd."""
    folder.mkdir()
    os.mkfifo(folder / "fifo")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "empty").touch()
    (folder / "room").mkdir()
    (folder / "binary").write_bytes(bytes(range(256)) * 8)
    (folder / "elf").symlink_to(sys.executable)
    (folder / "long").write_text(GOOD + "# long\n" * 200_000)
    (folder / "locked").touch(mode=0)


def _stream(errors: str) -> io.TextIOWrapper:
    """As Python opens standard output and error: what cannot be written is an error there too."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=errors, write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode()  # type: ignore[attr-defined,no-any-return]
