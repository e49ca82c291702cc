"""Up, down, and what is left: nothing, also after a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from shipit.errors import ShipitError, UsageError
from shipit.sandbox import lifecycle, state
from shipit.sandbox.state import State
from tests.sandbox.conftest import CAN_RUN, unique_name
from tests.sandbox.machines_of_tests import boot

pytestmark = [pytest.mark.sandbox, pytest.mark.skipif(not CAN_RUN, reason="needs root, HAProxy and iproute2")]


@pytest.fixture
def name() -> Iterator[str]:
    name = unique_name()
    yield name
    lifecycle.down(name)


def leftovers(name: str, network: str) -> list[str]:
    """Processes, links and mounts of a sandbox that should be gone; its processes all carry its folder or its name."""
    folder = str(state.ROOT_BASE / name)
    found = [f"process {pid}" for pid, command in processes() if folder in command or f"--name {name}" in command]
    address = network.rpartition(".")[0] + ".1/"
    found += [line for line in run("ip", "-o", "address").splitlines() if address in line]
    found += [line for line in Path("/proc/self/mounts").read_text().splitlines() if folder in line]
    return found + ([folder] if Path(folder).exists() else [])


def processes() -> Iterator[tuple[str, str]]:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield entry.parent.name, entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def wait_until_clean(found: State, had: list[str], seconds: float = 5) -> None:
    """Of what it had, nothing is left; another sandbox may have got the same network meanwhile."""
    assert had
    deadline = time.monotonic() + seconds
    while left := set(leftovers(found.name, found.network)) & set(had):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def client_of(found: State, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=found.endpoint_url,
        region_name=found.region,
        aws_access_key_id="shipit-sandbox",
        aws_secret_access_key="shipit-sandbox",
    )


def with_an_instance(found: State) -> State:
    boot(client_of(found, "ec2"), found.base_image_id, "#!/bin/sh\nsetsid sleep 600 &\n")
    return found


def test_up_says_where_everything_is(name: str) -> None:
    found = lifecycle.up(name, fast=True)
    assert lifecycle.up(name) == found

    shown = lifecycle.status(name)
    assert shown["listener_arn"] == found.listener_arn
    assert shown["instances"] == []
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(found.front_door_url)
    assert (answer.value.code, answer.value.read()) == (503, b"Nothing is released yet.\n")
    assert lifecycle.environment(name)["AWS_ENDPOINT_URL"] == found.endpoint_url


def test_down_leaves_nothing(name: str) -> None:
    found = with_an_instance(lifecycle.up(name, fast=True))
    had = set(leftovers(name, found.network))
    assert had
    assert lifecycle.down(name)
    assert had & set(leftovers(name, found.network)) == set(), "another sandbox may have got the same network meanwhile"
    assert not lifecycle.down(name)
    with pytest.raises(ShipitError, match="is not up"):
        lifecycle.status(name)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing(name: str, number: signal.Signals) -> None:
    found = with_an_instance(lifecycle.up(name, fast=True))
    had = leftovers(found.name, found.network)
    os.kill(found.pid, number)
    wait_until_clean(found, had)


def test_after_a_kill_down_clears_the_rest(name: str) -> None:
    found = with_an_instance(lifecycle.up(name, fast=True))
    had = leftovers(found.name, found.network)
    os.kill(found.pid, signal.SIGKILL)
    assert lifecycle.down(name)
    wait_until_clean(found, had)


def test_after_a_kill_up_starts_afresh(name: str) -> None:
    found = with_an_instance(lifecycle.up(name, fast=True))
    had = leftovers(found.name, found.network)
    os.kill(found.pid, signal.SIGKILL)
    again = lifecycle.up(name, fast=True)
    assert again.pid != found.pid
    assert lifecycle.status(name)["instances"] == []
    had += leftovers(again.name, again.network)
    lifecycle.down(name)
    wait_until_clean(found, had)
    wait_until_clean(again, had)


def test_a_sandbox_in_the_foreground_ends_on_ctrl_c_and_leaves_nothing(name: str) -> None:
    code = f"import sys; from shipit.sandbox import lifecycle; sys.exit(lifecycle.foreground({name!r}, fast=True))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "front door" in process.stdout.readline()
    found = state.read(name)
    assert found is not None
    had = leftovers(found.name, found.network)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
    wait_until_clean(found, had)


def test_two_sandboxes_live_side_by_side(name: str) -> None:
    other = unique_name()
    try:
        one, two = lifecycle.up(name, fast=True), lifecycle.up(other, fast=True)
        assert one.network != two.network
        assert lifecycle.status(name)["pid"] != lifecycle.status(other)["pid"]
    finally:
        lifecycle.down(other)


def test_two_callers_that_start_the_same_sandbox_get_the_same_one(name: str) -> None:
    found: list[State] = []
    callers = [threading.Thread(target=lambda: found.append(lifecycle.up(name, fast=True))) for _ in range(2)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 2
    assert found[0] == found[1]


def test_what_is_missing_is_named_in_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ShipitError) as caught:
        lifecycle.up(unique_name())
    assert caught.value.next == "apt-get install haproxy iproute2 util-linux"


def test_an_ordinary_user_without_sudo_is_told_why_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "check_host", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ShipitError) as caught:
        lifecycle.up(unique_name())
    assert caught.value.what == "the sandbox needs root"
    assert "sudo" in caught.value.next


def test_what_cloudformation_makes_serves_too(name: str) -> None:
    found = lifecycle.up(name, fast=True)
    action = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": "stacked"}}
    listener = {"LoadBalancerArn": found.load_balancer_arn, "Port": 81, "Protocol": "HTTP", "DefaultActions": [action]}
    template = {"Resources": {"Second": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": listener}}}
    client_of(found, "cloudformation").create_stack(StackName="second", TemplateBody=json.dumps(template))
    (url,) = (one["url"] for one in lifecycle.status(name)["listeners"] if one["port"] == 81)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"stacked"


@pytest.mark.parametrize("name", ["", "../etc", "Upper", "x" * 40])
def test_a_name_that_cannot_be_a_folder_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        state.folder(name)


def test_the_state_is_readable_by_everybody(name: str) -> None:
    found = lifecycle.up(name, fast=True)
    file = state.ROOT_BASE / name / "state.json"
    assert json.loads(file.read_text())["endpoint_url"] == found.endpoint_url
    assert file.stat().st_mode & 0o044 == 0o044
