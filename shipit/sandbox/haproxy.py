"""An HAProxy of our own: started from a template, steered over its runtime socket, dead when we are."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import jinja2

import shipit

LISTENER_SLOTS = 16
GROUP_SLOTS = 160
START_SECONDS = 10.0
# HAProxy binds the socket under a temporary, longer name first; Linux allows 107 bytes.
LONGEST_SOCKET_PATH = 90

_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
_RAW = "HTTP/1.1 {0}\r\nServer: awselb/2.0\r\nContent-Type: text/html\r\nContent-Length: {1}\r\n\r\n{2}"


class HaproxyError(Exception):
    """HAProxy is missing, did not start, or refused a command; the text is its own."""


class RuntimeSocket:
    """HAProxy's command line. Every question has a connection of its own, so that threads need no lock here."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ask(self, *commands: str) -> str:
        """Sends the commands in one go and returns all that was answered. Raises `HaproxyError` when nobody listens."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wire:
                wire.settimeout(10)
                wire.connect(str(self.path))
                wire.sendall(";".join(commands).encode() + b"\n")
                return b"".join(iter(lambda: wire.recv(65536), b"")).decode(errors="replace")
        except OSError as error:
            raise HaproxyError(f"HAProxy does not answer on {self.path}: {error}") from error


class Haproxy:
    """The process. `start` must run in a thread that outlives it: the kernel kills the child when that thread ends."""

    def __init__(self, state_dir: Path, ports: Sequence[int]) -> None:
        self._dir = state_dir
        self._ports = [*ports, *[0] * LISTENER_SLOTS][:LISTENER_SLOTS]
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = RuntimeSocket(state_dir / "haproxy.sock")
        self.ports: list[int] = []

    def start(self) -> None:
        """Binds the listeners and starts; returns when the runtime socket answers."""
        binary = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
        if binary is None:
            raise HaproxyError(
                "haproxy is not installed: the sandbox's load balancer needs HAProxy 2.6 or newer with Lua"
            )
        self._dir.mkdir(parents=True, exist_ok=True)
        listeners: list[socket.socket] = []
        try:
            listeners.extend(_listen(port) for port in self._ports)
            self.ports = [listener.getsockname()[1] for listener in listeners]
            self._launch(binary, [listener.fileno() for listener in listeners])
        finally:
            # Were these kept open here, clients of a dead HAProxy would hang instead of being refused.
            for listener in listeners:
                listener.close()
        self._await_answer()

    @property
    def pid(self) -> int | None:
        """The process id, once it was started."""
        return self._process.pid if self._process else None

    def stop(self) -> None:
        """Ends it at once and removes all that it wrote."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for name in ("haproxy.sock", "haproxy.cfg", "haproxy.log", "route.lua", "502.http", "504.http"):
            (self._dir / name).unlink(missing_ok=True)

    def _launch(self, binary: str, fds: Sequence[int]) -> None:
        config = self._write_config(fds)
        with (self._dir / "haproxy.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", binary, "-db", "-f", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=fds,
            )

    def _write_config(self, fds: Sequence[int]) -> Path:
        socket_path = self._dir / "haproxy.sock"
        if len(str(socket_path)) > LONGEST_SOCKET_PATH:
            raise HaproxyError(f"{socket_path} is too long for a Unix socket; choose a shorter state directory")
        (self._dir / "route.lua").write_text(template("route.lua"))
        (self._dir / "502.http").write_bytes(_error_file("502 Bad Gateway"))
        (self._dir / "504.http").write_bytes(_error_file("504 Gateway Time-out"))
        text = jinja2.Template(template("haproxy.cfg.j2"), keep_trailing_newline=True).render(
            socket=socket_path,
            lua=self._dir / "route.lua",
            bad_gateway=self._dir / "502.http",
            gateway_timeout=self._dir / "504.http",
            unavailable=_PAGE.format("503 Service Temporarily Unavailable"),
            listener_fds=fds,
            groups=GROUP_SLOTS,
        )
        config = self._dir / "haproxy.cfg"
        config.write_text(text)
        return config

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if "version" in self.socket.ask("shipit version"):
                    return
            except HaproxyError:
                pass
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise HaproxyError(f"HAProxy did not start:\n{(self._dir / 'haproxy.log').read_text()}")
            time.sleep(0.01)


def template(name: str) -> str:
    """A file of templates/sandbox, from the source tree or from the installed package."""
    package = Path(shipit.__file__).parent
    roots = (package / "_data" / "templates", package.parent / "templates")
    found = next(path for root in roots if (path := root / "sandbox" / name).is_file())
    return found.read_text()


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise HaproxyError(f"port {port} for a listener is taken: {error}") from error
    listener.listen(1024)
    return listener


def _error_file(title: str) -> bytes:
    page = _PAGE.format(title)
    return _RAW.format(title, len(page), page).encode()
