"""The unmodified AWS CLI against the sandbox, and real requests that follow what it did."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shipit.sandbox import lifecycle
from shipit.sandbox.load import run_load
from shipit.sandbox.state import State
from tests.sandbox.machines_of_tests import serving

pytestmark = pytest.mark.sandbox
AWS = Path(sys.executable).parent / "aws"


@pytest.fixture
def aws(sandbox: State) -> Callable[..., Any]:
    """Runs `aws …` and returns its JSON."""

    def run(*words: str) -> Any:
        environment = os.environ | lifecycle.environment(sandbox.name)
        done = subprocess.run([str(AWS), *words, "--output", "json"], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    return run


def fleet(aws: Callable[..., Any], sandbox: State, version: str) -> str:
    """Two instances of a version behind a target group of their own; returns its ARN."""
    group = aws(
        *f"elbv2 create-target-group --name cli-{version} --protocol HTTP --port 8080 --vpc-id {sandbox.vpc_id}".split(),
        *("--health-check-interval-seconds", "5", "--health-check-timeout-seconds", "2"),
        *("--healthy-threshold-count", "2"),
    )["TargetGroups"][0]["TargetGroupArn"]
    data = {"ImageId": sandbox.base_image_id, "InstanceType": "t3.micro", "UserData": encode(serving(version))}
    aws(
        *f"ec2 create-launch-template --launch-template-name cli-{version}".split(),
        "--launch-template-data",
        json.dumps(data),
    )
    aws(
        *f"autoscaling create-auto-scaling-group --auto-scaling-group-name cli-{version} --min-size 2 --max-size 2".split(),
        *f"--launch-template LaunchTemplateName=cli-{version} --target-group-arns {group}".split(),
        *("--vpc-zone-identifier", ",".join(sandbox.subnet_ids)),
    )
    return str(group)


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def forward(aws: Callable[..., Any], sandbox: State, weights: dict[str, int]) -> None:
    groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in weights.items()]
    actions = [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]
    aws("elbv2", "modify-listener", "--listener-arn", sandbox.listener_arn, "--default-actions", json.dumps(actions))


def test_weights_set_with_the_aws_cli_move_real_requests(sandbox: State, aws: Callable[..., Any]) -> None:
    assert aws("sts", "get-caller-identity")["Account"] == "123456789012"
    assert [one["LoadBalancerArn"] for one in aws("elbv2", "describe-load-balancers")["LoadBalancers"]] == [
        sandbox.load_balancer_arn
    ]
    blue, green = fleet(aws, sandbox, "blue"), fleet(aws, sandbox, "green")
    forward(aws, sandbox, {blue: 1, green: 0})
    aws("elbv2", "wait", "target-in-service", "--target-group-arn", blue)
    aws("elbv2", "wait", "target-in-service", "--target-group-arn", green)

    assert run_load(sandbox.front_door_url, 200, 1).versions == {"blue": 200}
    forward(aws, sandbox, {blue: 50, green: 50})
    both = run_load(sandbox.front_door_url, 400, 1)
    assert both.failed == 0
    assert 120 < both.versions["green"] < 280
    forward(aws, sandbox, {blue: 0, green: 100})
    assert run_load(sandbox.front_door_url, 200, 1).versions == {"green": 200}

    groups = aws("autoscaling", "describe-auto-scaling-groups")["AutoScalingGroups"]
    assert {len(group["Instances"]) for group in groups if group["AutoScalingGroupName"].startswith("cli-")} == {2}
    for version in ("blue", "green"):
        aws(*f"autoscaling delete-auto-scaling-group --auto-scaling-group-name cli-{version} --force-delete".split())
