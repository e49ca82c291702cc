"""The loop on its own threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from botocore.exceptions import ClientError

from shipit.sandbox.autoscaling.seams import LaunchRequest

from .fakes import FakeTargetGroups, Scaling


def wait_for(claim: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.01)


@pytest.fixture
def running(scaling: Scaling) -> Iterator[Scaling]:
    scaling.service.start()
    yield scaling
    scaling.service.stop()


def test_64_instances_come_and_go_by_themselves(running: Scaling) -> None:
    running.create(size=64, MaxSize=64)
    wait_for(lambda: running.lifecycle() == ["InService"] * 64)
    running.client.delete_auto_scaling_group(AutoScalingGroupName="web-1", ForceDelete=True)
    wait_for(lambda: running.group() == {})
    assert set(running.ec2.states.values()) == {"terminated"}


def test_a_slow_launch_blocks_neither_the_api_nor_other_groups(
    running: Scaling, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, launch = threading.Event(), running.ec2.launch

    def slow(request: LaunchRequest) -> str:
        if request.group_name == "slow":
            gate.wait(10)
        return launch(request)

    monkeypatch.setattr(running.ec2, "launch", slow)
    running.create("slow", size=2)
    running.create("quick", size=2)
    wait_for(lambda: running.lifecycle("quick") == ["InService"] * 2)
    with pytest.raises(ClientError, match="ScalingActivityInProgress"):
        running.client.delete_auto_scaling_group(AutoScalingGroupName="slow")
    gate.set()
    wait_for(lambda: running.lifecycle("slow") == ["InService"] * 2)


def test_a_broken_seam_stops_one_instance_and_not_the_loop(
    scaling: Scaling,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def register(self: FakeTargetGroups, arn: str, instance_id: str) -> None:
        if instance_id.endswith("0"):
            raise RuntimeError("InvalidTarget")
        self.states[arn][instance_id] = "healthy"

    monkeypatch.setattr(FakeTargetGroups, "register", register)
    scaling.created(size=3)
    assert sorted(scaling.lifecycle()) == ["InService", "InService", "Pending"]
    assert len([record for record in caplog.records if "trying again" in record.message]) == 1


def test_an_unexpected_launch_failure_is_an_activity(
    scaling: Scaling,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scaling.ec2.refusals["*"] = RuntimeError("disk full")
    scaling.created(size=1)
    assert scaling.ids() == []
    assert "internal error (disk full)" in scaling.activities()[0]["StatusMessage"]
