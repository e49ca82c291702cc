"""Chaos: which calls it strikes, what they are answered, and that what was done is done."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from moto.backends import get_backend

from shipit.errors import UsageError
from shipit.sandbox.api import Api
from shipit.sandbox.chaos import BEFORE, PAGE, Chaos, Rule, read_rule
from shipit.sandbox.wire import Server

Client = Callable[..., Any]


@pytest.fixture
def chaos() -> Chaos:
    return Chaos()


@pytest.fixture
def url(chaos: Chaos) -> Iterator[str]:
    api = Api(chaos.pages())
    api.around = chaos.around
    server = Server(api.answer)
    server.start()
    yield server.url
    server.close()
    for name in ("dynamodb", "iam"):
        get_backend(name).reset()


@pytest.fixture
def client(url: str) -> Client:
    def of(service: str, agent: str = "shipit/1") -> Any:
        config = Config(retries={"total_max_attempts": 1}, user_agent_extra=agent, read_timeout=1)
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=url, region_name="eu-west-1", config=config, **keys)

    return of


def users(client: Client) -> list[str]:
    return [user["UserName"] for user in client("iam", "driver").list_users()["Users"]]


def code(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"])


@pytest.mark.parametrize(
    ("what", "iam", "dynamodb", "ec2"),
    [
        ("throttle", "Throttling", "ProvisionedThroughputExceededException", "RequestLimitExceeded"),
        ("error-before", "InternalFailure", "InternalServerError", "InternalError"),
        ("denied", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation"),
        ("expired", "ExpiredToken", "ExpiredTokenException", "RequestExpired"),
    ],
)
def test_each_service_has_its_own_words(
    chaos: Chaos, client: Client, what: str, iam: str, dynamodb: str, ec2: str
) -> None:
    chaos.add(Rule(what, times=0))
    assert code(lambda: client("iam").create_user(UserName="ann")) == iam
    assert code(client("dynamodb").list_tables) == dynamodb
    assert code(client("ec2").describe_vpcs) == ec2
    assert users(client) == []
    assert what in BEFORE


def test_an_error_after_the_effect_leaves_the_effect(chaos: Chaos, client: Client) -> None:
    chaos.add(Rule("error-after"))
    assert code(lambda: client("iam").create_user(UserName="ann")) == "InternalFailure"
    assert users(client) == ["ann"]


def test_an_answer_may_never_come(chaos: Chaos, client: Client) -> None:
    chaos.add(Rule("timeout-after", nth=1))
    chaos.add(Rule("hang-after", nth=2))
    with pytest.raises(ConnectionClosedError):
        client("iam").create_user(UserName="ann")
    with pytest.raises(ReadTimeoutError):
        client("iam").create_user(UserName="ben")
    assert users(client) == ["ann", "ben"]


def test_a_rule_strikes_the_calls_that_it_counts(chaos: Chaos, client: Client) -> None:
    chaos.add(Rule("denied", service="iam", action="Create*", nth=2, times=2))
    iam = client("iam")
    iam.create_user(UserName="ann")
    iam.list_users()
    for name in ("ben", "cat"):
        assert code(lambda name=name: iam.create_user(UserName=name)) == "AccessDenied"
    iam.create_user(UserName="dan")
    assert users(client) == ["ann", "dan"]
    assert [(rule["matched"], rule["hits"]) for rule in chaos.rules()] == [(4, 2)]


def test_others_are_spared_unless_they_are_meant(chaos: Chaos, client: Client) -> None:
    chaos.add(Rule("denied", times=0, writes=True))
    client("iam", "packer").create_user(UserName="ann")
    client("iam").list_users()
    assert code(lambda: client("iam").create_user(UserName="ben")) == "AccessDenied"
    chaos.clear()
    chaos.add(Rule("denied", times=0, agent=""))
    assert code(lambda: client("iam", "packer").create_user(UserName="cat")) == "AccessDenied"


def test_reads_lag_behind_a_write_and_catch_up(chaos: Chaos, client: Client) -> None:
    chaos.add(Rule("lag", times=0, seconds=0.4))
    iam = client("iam")

    def seen() -> list[str]:
        return [user["UserName"] for user in iam.list_users()["Users"]]

    assert seen() == []
    iam.create_user(UserName="ann")
    assert seen() == []
    time.sleep(0.2)
    iam.create_user(UserName="ben")
    time.sleep(0.25)
    assert seen() == ["ann"]
    time.sleep(0.25)
    assert seen() == ["ann", "ben"]


def test_an_api_that_is_gone_comes_back(chaos: Chaos, client: Client) -> None:
    chaos.add(Rule("gone", service="iam", action="Create*", seconds=0.3))
    client("iam").list_users()
    for call in (lambda: client("iam").create_user(UserName="ann"), client("ec2").describe_vpcs):
        with pytest.raises(ConnectionClosedError):
            call()
    time.sleep(0.35)
    client("iam").create_user(UserName="ben")
    assert users(client) == ["ben"]


def test_latency_is_added(chaos: Chaos, client: Client) -> None:
    chaos.add(Rule("latency", seconds=0.2))
    began = time.monotonic()
    client("iam").list_users()
    assert time.monotonic() - began > 0.2


def test_there_is_no_capacity_for_a_group_as_long_as_the_rule_says(chaos: Chaos) -> None:
    chaos.add(Rule("capacity", group="hello-*", times=2))
    assert [chaos.no_capacity(name) for name in ("other", "hello-1", "hello-2", "hello-3")] == [
        False,
        True,
        True,
        False,
    ]


def test_health_checks_flap_for_a_while(chaos: Chaos) -> None:
    chaos.add(Rule("flap", group="green", seconds=0.2))
    arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/{}/1"
    green = {chaos.flaps(arn.format("green")) for _ in range(100)}
    assert (green, chaos.flaps(arn.format("blue"))) == ({True, False}, False)
    time.sleep(0.25)
    assert not any(chaos.flaps(arn.format("green")) for _ in range(100))


def test_rules_are_set_listed_and_cleared_over_the_wire(url: str) -> None:
    import urllib.request

    def ask(method: str, body: dict[str, Any] | None = None, path: str = PAGE) -> Any:
        data = json.dumps(body or {}).encode()
        with urllib.request.urlopen(urllib.request.Request(url + path, data, method=method)) as answer:
            return json.loads(answer.read())

    first = ask("POST", {"what": "denied", "service": "iam", "seconds": 2})["id"]
    ask("POST", {"what": "gone"})
    assert [rule["what"] for rule in ask("GET")] == ["denied", "gone"]
    ask("DELETE", {"id": first})
    assert [rule["what"] for rule in ask("GET")] == ["gone"]
    ask("DELETE")
    assert ask("GET") == []
    assert "weather" in ask("POST", {"what": "weather"})["error"][0]
    assert ask("POST", {"instance": "i-1"}, f"{PAGE}/kill") == {"killed": "i-1"}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"what": "denied", "nth": "2"},
        {"what": "denied", "extra": 1},
        {"what": "rain"},
        {"what": "denied", "service": "elb"},
    ],
)
def test_a_rule_that_cannot_be_read_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        read_rule(given)
