"""Up, down, status: what the command line and the tests do with a sandbox from outside. Standard library only."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import shipit
from shipit.errors import Refused, ShipitError, UsageError
from shipit.sandbox import state
from shipit.sandbox.state import DEFAULT_NAME, DEFAULT_REGION, State

UP_SECONDS = 30.0
DOWN_SECONDS = 20.0
_POLL_SECONDS = 0.02
# Tool -> Debian package.
_TOOLS = {"haproxy": "haproxy", "ip": "iproute2", "setpriv": "util-linux"}
_EXTRA_PATH = "/usr/sbin:/sbin:/usr/local/sbin"


def up(
    name: str = DEFAULT_NAME,
    *,
    fast: bool = False,
    region: str = DEFAULT_REGION,
    port: int = 0,
    front_port: int = 0,
    metrics_lag: float | None = None,
) -> State:
    """Starts the sandbox and returns once it serves; when it already does, that is all. Raises `ShipitError` with
    what is missing. `metrics_lag` is how many seconds late CloudWatch's metrics are.
    """
    found = state.read(name)
    if found is not None and _answers(found):
        return found
    check_host()
    process = subprocess.Popen(
        [*_daemon(name), *_options(fast, region, port, front_port, metrics_lag), "--detach"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        text=True,
    )
    return _await_ready(name, process)


def foreground(
    name: str = DEFAULT_NAME,
    *,
    fast: bool = False,
    region: str = DEFAULT_REGION,
    port: int = 0,
    front_port: int = 0,
    metrics_lag: float | None = None,
) -> int:
    """Runs the sandbox on this terminal until Ctrl-C or SIGTERM; returns the exit code."""
    check_host()
    process = subprocess.Popen([*_daemon(name), *_options(fast, region, port, front_port, metrics_lag)])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A terminal sends Ctrl-C to both; `kill` only to us. Being told twice does no harm.
        signal.signal(number, lambda given, _frame: _pass_on(process, given))
    return process.wait()


def down(name: str = DEFAULT_NAME) -> bool:
    """Ends the sandbox and all its instances, or clears away what a killed one left. Returns whether there was
    anything.
    """
    found = state.read(name)
    if found is not None and state.is_alive(found):
        _end(found)
    left = state.folder(name).exists()
    if left:
        _clear(name)
    return found is not None or left


def status(name: str = DEFAULT_NAME) -> dict[str, Any]:
    """What is there: all that `State` has, `listeners` (arn, port, url), `instances` (id, address, state, image_id, zone,
    name) without the terminated ones, `target_groups` (name, arn, targets: health by instance id).

    Raises `ShipitError` when it is not up.
    """
    found = _running(name)
    try:
        answer: dict[str, Any] = json.loads(_call(found, "GET", "/_shipit/status"))
    except (OSError, http.client.HTTPException) as error:
        raise ShipitError(
            f"the sandbox {name!r} does not answer", str(error), f"shipit sandbox down --name {name}"
        ) from error
    return answer


def environment(name: str = DEFAULT_NAME) -> dict[str, str]:
    """The variables that point boto3, the AWS CLI and Packer at the sandbox."""
    found = _running(name)
    return {
        "AWS_ENDPOINT_URL": found.endpoint_url,
        "AWS_REGION": found.region,
        "AWS_DEFAULT_REGION": found.region,
        "AWS_ACCESS_KEY_ID": "shipit-sandbox",
        "AWS_SECRET_ACCESS_KEY": "shipit-sandbox",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def ask(name: str, method: str, path: str, **fields: Any) -> Any:
    """What a page of the sandbox answers (`/_shipit/...`). Raises `ShipitError` when it is not up."""
    return json.loads(_call(_running(name), method, path, json.dumps(fields).encode()))


def check_host() -> None:
    """Raises one error that names all that is missing."""
    path = f"{os.environ.get('PATH', '')}:{_EXTRA_PATH}"
    packages = sorted({package for tool, package in _TOOLS.items() if shutil.which(tool, path=path) is None})
    missing = [f"apt-get install {' '.join(packages)}"] if packages else []
    if any(importlib.util.find_spec(module) is None for module in ("moto", "asyncssh")):
        missing.append("pip install 'shipit[sandbox]'")
    if not sys.platform.startswith("linux"):
        raise ShipitError(
            "the sandbox runs on Linux only", "its instances are processes in Linux namespaces", "use a Linux VM"
        )
    if missing:
        raise ShipitError("the sandbox cannot start here", "parts of it are not installed", " && ".join(missing))


def _running(name: str) -> State:
    found = state.read(name)
    if found is None or not state.is_alive(found):
        others = ", ".join(one.name for one in state.running())
        why = f"running: {others}" if others else "none is running"
        raise UsageError(f"the sandbox {name!r} is not up", why, "shipit sandbox up" + _name_option(name))
    return found


def _name_option(name: str) -> str:
    return "" if name == DEFAULT_NAME else f" --name {name}"


def _daemon(name: str) -> list[str]:
    """The command that runs the daemon as root, with this very package."""
    package = str(Path(shipit.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    command = ["env", f"PYTHONPATH={path}", sys.executable, "-m", "shipit.sandbox.daemon", "--name", name]
    if os.geteuid() == 0:
        return command
    if shutil.which("sudo") is None:
        raise ShipitError(
            "the sandbox needs root",
            "its instances are processes in mount, network and pid namespaces of their own",
            "run the same command as root, or install sudo",
        )
    print(
        "sudo: the sandbox's instances are processes in namespaces of their own, and only root may make those",
        file=sys.stderr,
    )
    return ["sudo", *([] if sys.stdin.isatty() else ["-n"]), *command]


def _options(fast: bool, region: str, port: int, front_port: int, metrics_lag: float | None) -> list[str]:
    options = ["--region", region, "--port", str(port), "--front-port", str(front_port)]
    lag = [] if metrics_lag is None else ["--metrics-lag", str(metrics_lag)]
    return [*options, *lag, *(["--fast"] if fast else [])]


def _await_ready(name: str, process: subprocess.Popen[str]) -> State:
    """The daemon closes its output when it is ready, or says why it cannot be."""
    assert process.stdout is not None
    said = process.stdout.read().strip()
    deadline = time.monotonic() + UP_SECONDS
    while time.monotonic() < deadline:
        found = state.read(name)
        if found is not None and state.is_alive(found):
            return found
        # Refused: somebody else is starting this very sandbox, and theirs will do as well.
        if process.poll() not in (None, Refused.exit_code):
            break
        time.sleep(_POLL_SECONDS)
    raise ShipitError(
        f"the sandbox {name!r} did not start", said or "no answer", "shipit sandbox up --foreground shows more"
    )


def _end(found: State) -> None:
    try:
        _call(found, "POST", "/_shipit/shutdown")
    except (OSError, http.client.HTTPException):
        _signal(found, signal.SIGTERM)
    if not _gone(found, DOWN_SECONDS):
        _signal(found, signal.SIGKILL)
        _gone(found, DOWN_SECONDS)


def _pass_on(process: subprocess.Popen[bytes], number: int) -> None:
    if process.poll() is None:
        process.send_signal(number)


def _answers(found: State) -> bool:
    """A daemon that was just killed is a process for some moments more; its silence tells."""
    if not state.is_alive(found):
        return False
    try:
        _call(found, "GET", "/_shipit/status")
    except (OSError, http.client.HTTPException):
        return not _gone(found, DOWN_SECONDS)
    return True


def _signal(found: State, number: int) -> None:
    """A daemon of root that hangs cannot be reached by an ordinary user; `--clear` through sudo ends it."""
    if state.is_alive(found) and os.geteuid() == 0:
        os.kill(found.pid, number)


def _gone(found: State, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while state.is_alive(found):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _clear(name: str) -> None:
    subprocess.run([*_daemon(name), "--clear"], check=False, stdin=subprocess.DEVNULL)


def _call(found: State, method: str, path: str, body: bytes = b"") -> bytes:
    host = found.endpoint_url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request(method, path, body, headers={"Content-Length": str(len(body))})
        return connection.getresponse().read()
    finally:
        connection.close()
