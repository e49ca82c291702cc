"""A shell for the tests of the command line: a folder with shipit.yml, and an AWS that only counts who knocks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from shipit.cli.main import main

LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/lb/0123456789abcdef/0123456789abcdef"
GOOD = f"""\
app: hello
region: eu-west-1
record: none
run:
  command: /usr/bin/python3 server.py
fleet:
  subnets: [subnet-0a]
traffic:
  listener: {LISTENER}
"""


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err


@dataclass
class Shell:
    folder: Path
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    knocks: list[str] = field(default_factory=list)

    def write(self, text: str, name: str = "shipit.yml") -> None:
        (self.folder / name).write_text(text)

    def run(self, *words: str) -> Said:
        """In this process: quick, and with everything that `main` does."""
        self.monkeypatch.setattr(sys, "argv", ["shipit", *words])
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        code = 0
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        said = self.capsys.readouterr()
        return Said(code, said.out, said.err)

    def process(self, *words: str, **environment: str) -> Said:
        """As a process of its own, with its output in pipes."""
        done = subprocess.run(
            [sys.executable, "-m", "shipit", *words],
            cwd=self.folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )
        return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    made = Shell(tmp_path, capsys, monkeypatch)

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.knocks.append(self.path)
            self.send_response(400)
            self.end_headers()

        do_GET = do_PUT = do_POST  # noqa: N815 - the base class wants these names

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        names = (
            "AWS_PROFILE",
            "SHIPIT_ENV",
            "SHIPIT_CONFIG",
            "SHIPIT_SANDBOX",
            "NO_COLOR",
            "FORCE_COLOR",
            "SHIPIT_DEBUG",
        )
        for name in (*names, "GITHUB_ACTIONS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.chdir(tmp_path)
        (tmp_path / ".git").mkdir()
        made.write(GOOD)
        yield made
        server.shutdown()
