"""One SSH session: a command or a login shell, run by the machine's process 1, its streams carried to the client and
back.

The exit status is sent after the last byte of output. When the client goes first, hanging up on process 1 kills the
command.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import termios
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, TypeAlias

import asyncssh

from shipit.sandbox import packets
from shipit.sandbox.seams import MachineError

USERS = frozenset({"root", "admin"})

_INIT_SOCKET = "/run/init.sock"
_SFTP_SERVER = "exec /usr/lib/openssh/sftp-server"
_CHUNK = 65536
_REFUSED = 255

_Session: TypeAlias = "asyncssh.SSHServerProcess[bytes]"


class _Writer(Protocol):
    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...


async def attend(process: _Session, init_pid: int) -> None:
    """Serves a session, from its command to its exit status."""
    user = process.get_extra_info("username")
    if user not in USERS:
        _refuse(process, f"There is no login {user!r}; there are {' and '.join(sorted(USERS))}.")
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as init:
        try:
            init.connect(f"/proc/{init_pid}/root{_INIT_SOCKET}")
            pumps = await _start(process, init, user)
        except (OSError, MachineError) as error:
            _refuse(process, str(error))
            return
        await _see_through(process, init, pumps)


async def _start(process: _Session, init: socket.socket, user: str) -> list[asyncio.Task[None]]:
    """Has the machine run the command; the answer is what carries its output. Raises `MachineError`."""
    # OpenSSH's scp speaks SFTP since 9.0; older ones, `scp -O` and Packer run `scp -t`.
    command = _SFTP_SERVER if process.subsystem == "sftp" else process.command
    request: packets.Message = {"do": "exec", "user": user, "command": command}
    if process.term_type:
        return await _start_on_terminal(process, init, request)
    (stdin, to_stdin), (from_stdout, stdout), (from_stderr, stderr) = os.pipe(), os.pipe(), os.pipe()
    try:
        with packets.closing([stdin, stdout, stderr]):
            await _ask(init, request, [stdin, stdout, stderr])
    except MachineError:
        for ours in (to_stdin, from_stdout, from_stderr):
            os.close(ours)
        raise
    _keep(_carry_in(process, to_stdin))
    return [_keep(_carry_out(from_stdout, process.stdout)), _keep(_carry_out(from_stderr, process.stderr))]


async def _start_on_terminal(
    process: _Session, init: socket.socket, request: packets.Message
) -> list[asyncio.Task[None]]:
    columns, rows, *_ = process.term_size
    request |= {"terminal": [rows or 24, columns or 80], "environment": {"TERM": process.term_type}}
    (terminal,) = await _ask(init, request, [])
    _keep(_carry_in(process, os.dup(terminal)))
    return [_keep(_carry_out(terminal, process.stdout))]


async def _ask(init: socket.socket, request: packets.Message, files: Sequence[int]) -> list[int]:
    packets.send(init, request, files)
    answer, answered_files = await _receive(init) or ({"error": "The machine is going down."}, [])
    if "error" in answer:
        raise MachineError(answer["error"])
    return answered_files


async def _receive(init: socket.socket) -> tuple[packets.Message, list[int]] | None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(init, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(init)
    return packets.receive(init)


async def _see_through(process: _Session, init: socket.socket, pumps: Sequence[asyncio.Task[None]]) -> None:
    """Waits for the command's end, then for all it printed; or for the client's end, whichever comes first."""
    ended = asyncio.create_task(_receive(init))
    gone = asyncio.create_task(process.wait_closed())
    await asyncio.wait({ended, gone}, return_when=asyncio.FIRST_COMPLETED)
    if ended.done():
        printed = asyncio.create_task(_all(pumps))
        await asyncio.wait({printed, gone}, return_when=asyncio.FIRST_COMPLETED)
        _report(process, ended.result())
    for task in (ended, gone, *pumps):
        task.cancel()
    # A cancelled receiver must have let go of the socket before it is closed and its number is used again.
    await asyncio.gather(ended, gone, *pumps, return_exceptions=True)


async def _all(tasks: Sequence[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks)


def _report(process: _Session, received: tuple[packets.Message, list[int]] | None) -> None:
    code = received[0]["exit"] if received else _REFUSED
    with contextlib.suppress(OSError):
        if code >= 0:
            process.exit(code)
        else:
            process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))


async def _carry_out(source: int, writer: _Writer) -> None:
    """Until the program and all that inherited the stream have closed it."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(source, "rb", 0)
    )
    try:
        # A terminal whose last user is gone ends in EIO; a client that is gone in a broken pipe.
        with contextlib.suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                writer.write(chunk)
                await writer.drain()
    finally:
        transport.close()


async def _carry_in(process: _Session, target: int) -> None:
    """Until the client says that there is no more, or the program stops listening."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop), os.fdopen(target, "wb", 0)
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    try:
        with contextlib.suppress(OSError):
            while chunk := await _read_in(process, target):
                writer.write(chunk)
                await writer.drain()
    finally:
        transport.close()


async def _read_in(process: _Session, terminal: int) -> bytes:
    """The next bytes. asyncssh reports a resized window as an exception of the reader."""
    while True:
        try:
            return await process.stdin.read(_CHUNK)
        except asyncssh.TerminalSizeChanged as new:
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetwinsize(terminal, (new.height, new.width))
        except (asyncssh.BreakReceived, asyncssh.SignalReceived):
            continue


_tasks: set[asyncio.Task[None]] = set()


def _keep(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """asyncio holds tasks by weak references only."""
    task = asyncio.create_task(work)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


def _refuse(process: _Session, reason: str) -> None:
    with contextlib.suppress(OSError):
        process.stderr.write(f"{reason}\n".encode())
        process.exit(_REFUSED)
