"""The sandbox's process: puts the pieces together, says when it is ready, and leaves nothing when it ends.

Run as `python -m shipit.sandbox.daemon --name NAME`; people use `shipit sandbox up`.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from shipit.errors import Refused, ShipitError
from shipit.sandbox import state
from shipit.sandbox.seams import Balancer, Machines
from shipit.sandbox.state import DEFAULT_NAME, DEFAULT_REGION, State

_CLAIM_SECONDS = 2.0


@dataclass(frozen=True)
class Options:
    """`port` and `front_port` are 0 for any free one; `fast` allows health checks every second, ends instances sooner and
    publishes metrics every five seconds. `metrics_lag` is how many seconds late they can be read.
    """

    name: str = DEFAULT_NAME
    region: str = DEFAULT_REGION
    fast: bool = False
    port: int = 0
    front_port: int = 0
    metrics_lag: float | None = None


def run(options: Options, voice: _Voice) -> None:
    """Serves until SIGTERM, SIGINT or the shutdown page; then takes everything down.

    Raises `ShipitError` when another daemon has this name, or when a part cannot start.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    folder = state.folder(options.name)
    with ExitStack() as undo:
        undo.enter_context(_claim(options.name))
        # What a killed predecessor left would confuse machines and HAProxy.
        shutil.rmtree(folder, ignore_errors=True)
        _make(folder)
        undo.callback(_remove, folder)
        voice.log_to(folder / "daemon.log")
        found = _build(options, folder, stop, undo)
        state.write(found)
        voice.say(f"{found.name}: AWS at {found.endpoint_url}, front door at {found.front_door_url}")
        voice.close()
        while not stop.wait(3600):
            pass


def clear(name: str) -> None:
    """Removes what a killed daemon left; one that only hangs is killed first."""
    found = state.read(name)
    if found is not None and state.is_alive(found):
        os.kill(found.pid, signal.SIGKILL)
    with _claim(name):
        _remove(state.folder(name))


def _claim(name: str) -> socket.socket:
    """An abstract socket is a lock that needs no file and ends with its holder."""
    claim = socket.socket(socket.AF_UNIX)
    deadline = time.monotonic() + _CLAIM_SECONDS
    while True:
        try:
            claim.bind(f"\0shipit-sandbox-{name}")
        except OSError:
            if time.monotonic() > deadline:
                claim.close()
                raise Refused(
                    f"the sandbox {name!r} runs already", "another daemon has its name", "shipit sandbox status"
                ) from None
            time.sleep(0.05)
        else:
            return claim


def _make(folder: Path) -> None:
    """Another sandbox that goes down at this moment may take the parent away again."""
    while not folder.is_dir():
        with contextlib.suppress(FileNotFoundError):
            folder.mkdir(parents=True, mode=0o755)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    # The folder of all sandboxes goes with the last of them.
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


def _build(options: Options, folder: Path, stop: threading.Event, undo: ExitStack) -> State:
    """Every part, in the order of their needs; what must be undone is put on `undo`."""
    machines, balancer, network = _start_parts(folder, options.front_port, undo)
    from shipit.sandbox.cloud import Cloud

    cloud = Cloud(options.region, machines, balancer, network, options.metrics_lag, fast=options.fast)
    undo.callback(cloud.close)
    facts: dict[str, Any] = {}
    pages: dict[tuple[str, str], Callable[[bytes], object]] = {
        ("GET", "/_shipit/status"): lambda _: facts | cloud.status(),
        ("POST", "/_shipit/shutdown"): lambda _: stop.set(),
    }
    api, server = cloud.serve(pages, options.port)
    undo.callback(server.close)
    seeded = cloud.seed(api, options.name)
    found = State(
        name=options.name,
        pid=os.getpid(),
        started=state.start_time(os.getpid()) or 0,
        endpoint_url=server.url,
        front_door_url=balancer.front_door(seeded.listener_arn) or "",
        region=options.region,
        network=str(network),
        fast=options.fast,
        **vars(seeded),
    )
    facts.update(asdict(found))
    return found


def _start_parts(folder: Path, front_port: int, undo: ExitStack) -> tuple[Machines, Balancer, IPv4Network]:
    """Machines and HAProxy start while moto, which takes longest, is imported. Raises `ShipitError`."""
    from shipit.sandbox.balancer import HaproxyBalancer
    from shipit.sandbox.haproxy import HaproxyError
    from shipit.sandbox.machines import LocalMachines
    from shipit.sandbox.network import pick_network
    from shipit.sandbox.seams import MachineError

    try:
        network = pick_network()
        with ThreadPoolExecutor(2) as pool:
            machines = pool.submit(_opened(LocalMachines, undo), network, folder)
            balancer = pool.submit(_opened(HaproxyBalancer, undo), folder, [front_port])
            _import_moto()
        return machines.result(), balancer.result(), network
    except (MachineError, HaproxyError) as error:
        raise ShipitError("the sandbox cannot start", str(error), "shipit doctor") from error


def _opened(kind: Callable[..., Any], undo: ExitStack) -> Callable[..., Any]:
    def opened(*args: Any) -> Any:
        made = kind(*args)
        undo.callback(made.close)
        return made

    return opened


def _import_moto() -> None:
    # Read when moto is imported: its catalogue of 1,100 AMIs costs a second at the first call.
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
    import shipit.sandbox.cloud  # noqa: F401


class _Voice:
    """Where a daemon says whether it is ready. Detached, that is the pipe to its parent, which ends with `close`: its
    own children must not inherit it, and from then on words go to the log.
    """

    def __init__(self, *, detach: bool) -> None:
        self._detach = detach
        self._fd = os.dup(1)

    def log_to(self, path: Path) -> None:
        if self._detach:
            with path.open("a") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)

    def say(self, text: str) -> None:
        os.write(self._fd, f"{text}\n".encode())

    def close(self) -> None:
        os.close(self._fd)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m shipit.sandbox.daemon", description=__doc__)
    parser.add_argument("--name", default=DEFAULT_NAME)
    parser.add_argument("--region", default=DEFAULT_REGION)
    parser.add_argument("--fast", action="store_true")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--front-port", type=int, default=0)
    parser.add_argument("--metrics-lag", type=float, help="seconds until metrics can be read")
    parser.add_argument("--detach", action="store_true", help="log to a file, say only whether it is ready")
    parser.add_argument("--clear", action="store_true", help="only remove what a killed daemon of this name left")
    given = vars(parser.parse_args(argv))
    detach, only_clear = given.pop("detach"), given.pop("clear")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    voice = _Voice(detach=detach)
    try:
        if only_clear:
            clear(given["name"])
        else:
            run(Options(**given), voice)
    except ShipitError as error:
        voice.say(str(error))
        return error.exit_code
    except Exception:  # noqa: BLE001 - the parent shows it
        voice.say(traceback.format_exc())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
