"""`--env sandbox`: the built-in environment of the sandbox that runs on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shipit.errors import UsageError

if TYPE_CHECKING:
    from shipit.sandbox.state import State

SANDBOX = "sandbox"


def running_sandbox() -> State:
    """The sandbox that `--env sandbox` means. Raises `UsageError` when it is not up."""
    from shipit.sandbox import state

    name = os.environ.get("SHIPIT_SANDBOX", state.DEFAULT_NAME)
    found = state.read(name)
    if found is None or not state.is_alive(found):
        raise UsageError("the sandbox is not running", f"there is no live sandbox called {name!r}", "shipit sandbox up")
    return found


def sandbox_settings() -> Mapping[str, Any]:
    """What `--env sandbox` lays over shipit.yml: where things are in the sandbox, and checks as fast as it allows."""
    state = running_sandbox()
    source: dict[str, Any] = {"id": state.base_image_id, "name": None, "owners": []}
    bake = {
        "source_image": source,
        "ssh_username": "root",
        "ssh_interface": "private_ip",
        "subnet": state.subnet_ids[0],
    }
    fast = {"steady_seconds": 1, "tolerate_seconds": 5, "poll_seconds": 0.3} if state.fast else {}
    settle = {"settle_seconds": 2, "drain_seconds": 3} if state.fast else {}
    return {
        "region": state.region,
        "account": None,
        "bake": {**bake, "instance_profile": None, "security_groups": [], "encrypt": False, "communicator": "ssh"},
        "fleet": {
            "subnets": state.subnet_ids,
            "security_groups": [state.security_group_ids["app"]],
            "instance_profile": state.instance_profile,
            "grace_seconds": 30,
        },
        "health": fast,
        "traffic": {"listener": state.listener_arn, "rule": None, **settle},
        "gates": {"period_seconds": 5, "lag_seconds": 2} if state.fast else {},
    }
