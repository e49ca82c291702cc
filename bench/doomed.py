"""shipit, killed (SIGKILL) before or after its Nth call to AWS: `python -m bench.doomed --at 3 --phase after -- release v2`.

Every HTTP attempt counts, in the order in which they are made over all threads; each is written to a file as `SERVICE
OPERATION`, so that it is known what was covered. With `--step Hold` only the calls made in steps of that kind count, and
`--at 0` is where the step begins. Without both it is shipit with a list of its calls.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

_SERVICE = re.compile(rb"Credential=[^/]+/\d{8}/[^/]*/([^/]+)/aws4_request")
_ACTION = re.compile(rb"(?:^|&)Action=(\w+)")
# Retries of botocore wait up to 20 s; a sweep has no such time, and how long it is changes nothing of what is tested.
_QUICKER = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at", type=int, default=0)
    parser.add_argument("--phase", choices=("before", "after"), default="before")
    parser.add_argument("--step", default="", help="kind of step, as the events name it")
    parser.add_argument("--calls", required=True, help="file that gets the calls")
    parser.add_argument("--patient", action="store_true", help="wait between retries as long as botocore does")
    parser.add_argument("words", nargs="+")
    options = parser.parse_args()
    sys.stdout = ears = _Ears(sys.stdout.buffer, line_buffering=True)
    ears.last = options.step if not options.at else ""
    _count(options.at, options.phase, options.calls, lambda: options.step in ("", ears.step))
    if not options.patient:
        _retry_quickly()
    sys.argv = ["shipit", *options.words]
    from shipit.cli.main import main as shipit

    shipit()


class _Ears(io.TextIOWrapper):
    """Standard output that knows which step was told last."""

    step = last = ""

    def write(self, text: str) -> int:
        if '"kind":"step"' in text.replace(" ", ""):
            self.step = json.loads(text)["step"]
            if self.step == self.last:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().write(text)


def _count(at: int, phase: str, path: str, counts: Callable[[], bool]) -> None:
    from botocore.httpsession import URLLib3Session

    send, lock, made = URLLib3Session.send, threading.Lock(), [0]
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def counted(session: Any, request: Any) -> Any:
        with lock:
            made[0] += counts()
            number = made[0] if counts() else -1
            os.write(file, f"{name_of(request)}\n".encode())
        if number == at and phase == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = send(session, request)
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    URLLib3Session.send = counted


def _retry_quickly() -> None:
    from botocore.retries.standard import ExponentialBackoff

    usual = ExponentialBackoff.delay_amount
    ExponentialBackoff.delay_amount = lambda self, context: _QUICKER * usual(self, context)


def name_of(request: Any) -> str:
    service = _SERVICE.search(_bytes(request.headers.get("Authorization", "")))
    target = _bytes(request.headers.get("X-Amz-Target", "")).rpartition(b".")[2]
    action = _ACTION.search(_bytes(request.body or b""))
    operation = target or (action[1] if action else b"?")
    return f"{service[1].decode() if service else '?'} {operation.decode()}"


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


if __name__ == "__main__":
    main()
