"""Reaching the builder through Systems Manager instead of the network: what that needs, checked beforehand."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from shipit.bake.packer import Packer
from shipit.errors import UsageError
from shipit.settings import Bake


def require_ssm(bake: Bake, packer: Packer, environ: Mapping[str, str]) -> None:
    """Raises `UsageError` when `communicator: ssm` cannot work here; Packer would take minutes to say less."""
    if bake.communicator != "ssm":
        return
    if not packer.modern:
        raise UsageError(
            "bake.communicator: ssm needs Packer 1.7 or later",
            f"this is {packer.name}",
            "communicator: ssh, or a newer Packer",
        )
    if bake.instance_profile is None:
        why = "the builder's agent needs the policy AmazonSSMManagedInstanceCore to be reached"
        raise UsageError(
            "bake.communicator: ssm needs bake.instance_profile", why, "set bake.instance_profile in shipit.yml"
        )
    if shutil.which("session-manager-plugin", path=environ.get("PATH")) is None:
        raise UsageError(
            "bake.communicator: ssm needs session-manager-plugin",
            "it is not in PATH",
            "install AWS's session-manager-plugin",
        )
