"""Fixtures: one moto server for all tests of Auto Scaling, and a fresh service on fakes for each."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from botocore.config import Config
from moto.autoscaling import urls
from moto.server import ThreadedMotoServer

from shipit.sandbox.autoscaling import AutoScaling, install

from .fakes import FakeClock, FakeEc2, FakeTargetGroups, Scaling

MOTOS_OWN = dict(urls.url_paths)


@pytest.fixture(scope="session")
def auto_scaling_server() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def scaling(auto_scaling_server: str) -> Iterator[Scaling]:
    """Moto is given back its own Auto Scaling afterwards: other tests of this process want that one."""
    ec2, targets, clock = FakeEc2(), FakeTargetGroups(), FakeClock()
    service = AutoScaling(ec2, targets, clock)
    install(service)
    client = boto3.client(
        "autoscaling",
        region_name="eu-west-1",
        endpoint_url=auto_scaling_server,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield Scaling(client, service, ec2, targets, clock)
    urls.url_paths.update(MOTOS_OWN)
