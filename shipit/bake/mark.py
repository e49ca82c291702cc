"""The name of one run of Packer: it marks builder, key pair and security group, so that leftovers can be told.

`shipit-bake:hello:20261122T101500Z:31m:ci-7.0a1b2c3d:4711:9f3c2a01`: app, start, how long it may take, machine,
process, a nonce. As a key pair's name it becomes part of a sed expression of Packer's, so it has no slash.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shipit.machine import alive, host

_FORM = re.compile(
    r"shipit-bake:(?P<app>[a-z0-9-]+):(?P<at>\d{8}T\d{6}Z):(?P<minutes>\d+)m:(?P<host>[\w.-]+):(?P<pid>\d+):(?P<nonce>\w+)"
)
_PREFIX = "shipit-bake"
_TIME = "%Y%m%dT%H%M%SZ"
CLEAN_UP_MINUTES = 15


@dataclass(frozen=True)
class Mark:
    """Which bake something belongs to. `minutes` is its own deadline, counted from `started_at`."""

    app: str
    started_at: datetime
    minutes: int
    host: str
    pid: int
    nonce: str

    @classmethod
    def new(cls, app: str, now: datetime, minutes: float) -> Mark:
        return cls(
            app,
            now.astimezone(UTC).replace(microsecond=0),
            int(minutes) + 1,
            host(),
            os.getpid(),
            secrets.token_hex(4),
        )

    @classmethod
    def parse(cls, text: str) -> Mark | None:
        """None for a text that shipit did not write: what it marks is not ours to remove."""
        match = _FORM.fullmatch(text)
        if match is None:
            return None
        at = datetime.strptime(match["at"], _TIME).replace(tzinfo=UTC)
        return cls(match["app"], at, int(match["minutes"]), match["host"], int(match["pid"]), match["nonce"])

    def __str__(self) -> str:
        at = self.started_at.strftime(_TIME)
        return ":".join((_PREFIX, self.app, at, f"{self.minutes}m", self.host, str(self.pid), self.nonce))

    def abandoned(self, now: datetime) -> bool:
        """True when nobody works on it any more: past its deadline, or its process on this machine is gone."""
        if now > self.started_at + timedelta(minutes=self.minutes + CLEAN_UP_MINUTES):
            return True
        return self.host == host() and self.pid != os.getpid() and not alive(self.pid)
