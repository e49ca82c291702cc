"""A real sandbox for the tests that need one: each worker has its own, fast, brought down at the end."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from shipit.sandbox import lifecycle
from shipit.sandbox.state import State

CAN_RUN = os.geteuid() == 0 and all(
    shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin") for tool in ("haproxy", "ip")
)


def unique_name() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def sandbox() -> Iterator[State]:
    if not CAN_RUN:
        pytest.skip("needs root, HAProxy and iproute2")
    name = unique_name()
    state = lifecycle.up(name, fast=True)
    yield state
    lifecycle.down(name)


@pytest.fixture(scope="session")
def client(sandbox: State) -> Callable[[str], Any]:
    """A boto3 client of a service, pointed at the sandbox; made once per service."""
    made: dict[str, Any] = {}
    session = boto3.session.Session(
        aws_access_key_id="shipit-sandbox", aws_secret_access_key="shipit-sandbox", region_name=sandbox.region
    )

    def of(service: str) -> Any:
        if service not in made:
            config = Config(retries={"total_max_attempts": 1})
            made[service] = session.client(service, endpoint_url=sandbox.endpoint_url, config=config)
        return made[service]

    return of
