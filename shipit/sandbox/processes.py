"""Processes of a machine: starts them as the user they belong to, relays what they print, tells who ended, keeps time.

This is the event loop of process 1, one thread. It implements `services.System`.
"""

from __future__ import annotations

import contextlib
import fcntl
import grp
import os
import pwd
import select
import signal
import socket
import subprocess
import termios
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shipit.sandbox.journal import Journal
from shipit.sandbox.loop import Loop
from shipit.sandbox.services import SpawnError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_CHUNK = 65536


@dataclass(frozen=True)
class Login:
    """Who a process runs as."""

    user_id: int
    group_id: int
    groups: Sequence[int]
    environment: Mapping[str, str]


def login(user: str, group: str | None = None) -> Login:
    """Looks a user up in the machine's own /etc/passwd. Raises `SpawnError`."""
    try:
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
        main_group = grp.getgrnam(group).gr_gid if group and not group.isdigit() else int(group or entry.pw_gid)
    except KeyError as error:
        raise SpawnError("user", f"Failed to determine user credentials: {error.args[0]}") from error
    home = {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name, "SHELL": entry.pw_shell}
    return Login(entry.pw_uid, main_group, os.getgrouplist(entry.pw_name, main_group), home)


class Processes(Loop):
    """`on_exit` callbacks get (pid, wait status) of every process that ended, orphans too."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal
        self._stopping = False
        self._relays: dict[int, Callable[[], None]] = {}
        self.on_exit: list[Callable[[int, int], None]] = []
        self.on_shutdown: Callable[[], None] = lambda: None
        self.after_each: Callable[[], None] = lambda: None
        self._listen_for_signals()

    def spawn(
        self, who: str, words: Sequence[str], environment: Mapping[str, str], user: str, group: str | None, folder: str
    ) -> int:
        reads, writes = os.pipe()
        try:
            pid = self.execute(words, environment, login(user, group), folder, (subprocess.DEVNULL, writes, writes))
        except SpawnError:
            os.close(reads)
            raise
        finally:
            os.close(writes)
        self._relay(reads, f"{who}[{pid}]")
        return pid

    def spawn_or_say(self, who: str, words: Sequence[str]) -> None:
        """Starts something as root that nobody watches."""
        try:
            self.spawn(who, words, {"PATH": PATH, "LANG": "C.UTF-8"}, "root", None, "/")
        except SpawnError as error:
            self._journal.say(who, str(error))

    def execute(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        who: Login,
        folder: str,
        files: tuple[int, int, int],
        *,
        on_terminal: bool = False,
    ) -> int:
        """Starts a process in a session of its own on these three descriptors. Raises `SpawnError`."""
        folder = who.environment["HOME"] if folder == "~" else folder.removeprefix("-")
        try:
            child = subprocess.Popen(
                list(words),
                env={**who.environment, **environment},
                cwd=folder,
                user=who.user_id,
                group=who.group_id,
                extra_groups=list(who.groups),
                start_new_session=True,
                stdin=files[0],
                stdout=files[1],
                stderr=files[2],
                preexec_fn=_take_terminal if on_terminal else None,
            )
        except (OSError, ValueError, IndexError) as error:
            step = "directory" if getattr(error, "filename", None) == folder else "program"
            raise SpawnError(step, str(error)) from error
        # This loop waits for all processes; a Popen that did so too might take the status of a later one with the
        # same number.
        child.returncode = 0
        return child.pid

    def say(self, text: str) -> None:
        self._journal.say("systemd[1]", text)

    def shut_down(self) -> None:
        """Asks everything to end, then the machine ends. Whoever wants a deadline kills it."""
        if not self._stopping:
            self._stopping = True
            self.say("Shutting down.")
            self.on_shutdown()
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGTERM)

    def run(self) -> None:
        """Until the machine was shut down and nothing is left."""
        while not (self._stopping and not _has_children()):
            try:
                self.turn()
                self._reap()
                self.after_each()
            except Exception:  # noqa: BLE001 - process 1 must not die of one service's trouble
                self._journal.say("init", traceback.format_exc())

    def _relay(self, reads: int, who: str) -> None:
        rest = b""

        def pass_on() -> None:
            nonlocal rest
            chunk = os.read(reads, _CHUNK)
            rest = self._journal.relay(who, chunk or (b"\n" if rest else b""), rest)
            if not chunk:
                self.unwatch(reads)
                del self._relays[reads]
                os.close(reads)

        self._relays[reads] = pass_on
        self.watch(reads, pass_on)

    def _listen_for_signals(self) -> None:
        reads, writes = socket.socketpair()
        for end in (reads, writes):
            end.setblocking(False)
        self._signals = (reads, writes)
        signal.set_wakeup_fd(writes.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.signal(signal.SIGTERM, lambda _number, _frame: self.shut_down())
        self.watch(reads.fileno(), lambda: _ignore(reads.recv(_CHUNK)))

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._drain_output()
            for callback in self.on_exit:
                callback(pid, status)

    def _drain_output(self) -> None:
        """The last words of a process belong before the line that says that it ended."""
        for reads in select.select(list(self._relays), [], [], 0)[0]:
            self._relays[reads]()


def _take_terminal() -> None:
    """Makes standard input the session's terminal, so that Ctrl-C reaches it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _ignore(_signals: bytes) -> None:
    """The pipe only wakes the loop; what has ended is found by waiting for it."""


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
