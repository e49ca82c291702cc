"""Where a sandbox keeps what others must know about it: one folder per name, one `state.json` inside.

Light on purpose (standard library only): `shipit sandbox status` and every test read it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from shipit.errors import UsageError

ROOT_BASE = Path("/run/shipit")
DEFAULT_NAME = "default"
DEFAULT_REGION = "eu-west-1"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


@dataclass(frozen=True)
class State:
    """A running sandbox. `started` is the daemon's start time in clock ticks since boot: with `pid` it names one
    process.

    `security_group_ids` has the keys `lb` and `app`; `network` is the CIDR block of the VPC.
    """

    name: str
    pid: int
    started: int
    endpoint_url: str
    front_door_url: str
    region: str
    load_balancer_arn: str
    listener_arn: str
    vpc_id: str
    subnet_ids: list[str]
    security_group_ids: dict[str, str]
    instance_profile: str
    base_image_id: str
    network: str
    fast: bool


def base_dir() -> Path:
    """The folder of all sandboxes of this user; root's is `/run/shipit`."""
    if os.geteuid() == 0:
        return ROOT_BASE
    import tempfile  # imports much, and root does not need it

    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "shipit" if runtime else Path(tempfile.gettempdir()) / f"shipit-{os.geteuid()}"


def folder(name: str) -> Path:
    """The folder of one sandbox. An ordinary user's daemon runs as root (sudo), so root's folder is looked at too.

    Raises `UsageError` for a name that could not be a folder or a network device.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a sandbox",
            "it becomes a folder's and a network bridge's name",
            "use up to 31 lower case letters, digits and hyphens",
        )
    own = base_dir() / name
    return own if own.exists() else ROOT_BASE / name


def names() -> list[str]:
    """Every sandbox that has a folder, running or not."""
    bases = {base_dir(), ROOT_BASE}
    return sorted({entry.name for base in bases if base.is_dir() for entry in base.iterdir() if entry.is_dir()})


def read(name: str) -> State | None:
    """What the sandbox's daemon wrote once it was ready; None when it never was, or was brought down."""
    try:
        return State(**json.loads((folder(name) / "state.json").read_text()))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, TypeError):
        return None


def write(state: State) -> None:
    """Publishes the state in one step: a reader sees all of it or nothing."""
    target = folder(state.name) / "state.json"
    draft = target.with_suffix(".new")
    draft.write_text(json.dumps(asdict(state), indent=2) + "\n")
    draft.replace(target)


def start_time(pid: int) -> int | None:
    """When a process started, in ticks since boot; None when there is none. A reused pid has another start time."""
    try:
        # The command's name may hold spaces and brackets: count from its closing one (proc(5), field 22).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in ("Z", "X") else int(fields[19])


def is_alive(state: State) -> bool:
    return start_time(state.pid) == state.started


def running() -> Iterator[State]:
    """The sandboxes whose daemon lives."""
    for name in names():
        state = read(name)
        if state is not None and is_alive(state):
            yield state
