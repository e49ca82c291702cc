from __future__ import annotations

from pathlib import Path

import pytest

from shipit import __version__
from shipit.aws.session import Session
from shipit.errors import AccessError, Refused, ShipitError, UsageError

KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No AWS configuration but what a test sets."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_the_region_is_that_of_the_settings_before_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert Session("eu-west-1").region == "eu-west-1"


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "eu-north-1")
    assert Session().region == "eu-north-1"


def test_the_region_may_come_from_the_profile(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile shop]\nregion = ap-south-1\n")
    assert Session(None, "shop").region == "ap-south-1"


def test_without_a_region_it_says_where_to_set_one() -> None:
    with pytest.raises(UsageError, match="no AWS region") as raised:
        _ = Session().region
    assert "AWS_REGION" in raised.value.next


def test_a_profile_that_does_not_exist_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="configuration is not usable"):
        Session("eu-west-1", "nobody").client("ec2")


def test_without_credentials_it_says_how_to_log_in() -> None:
    with pytest.raises(AccessError, match="no AWS credentials") as raised:
        _ = Session("eu-west-1").account
    assert "AWS_PROFILE" in raised.value.next


def test_each_service_has_one_client_that_says_who_it_is() -> None:
    session = Session("eu-west-1", None, **KEYS)
    client = session.client("ec2")
    assert session.client("ec2") is client
    assert f"shipit/{__version__}" in client.meta.config.user_agent_extra


def test_a_record_that_hangs_is_not_waited_for_like_the_rest_of_aws() -> None:
    session = Session("eu-west-1", None, **KEYS)
    record, rest = (session.client(name).meta.config for name in ("dynamodb", "elbv2"))
    longest = (record.connect_timeout + record.read_timeout) * record.retries["total_max_attempts"]
    assert longest <= 12 < rest.read_timeout


def test_an_endpoint_of_its_own_is_used_for_every_service() -> None:
    session = Session("eu-west-1", None, endpoint_url="http://127.0.0.1:9", **KEYS)
    assert session.client("elbv2").meta.endpoint_url == "http://127.0.0.1:9"


def test_an_endpoint_from_the_environment_is_used_as_boto3_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert Session("eu-west-1", None, **KEYS).client("elbv2").meta.endpoint_url == "http://127.0.0.1:9"


def test_nobody_there_is_told_as_no_answer() -> None:
    session = Session("eu-west-1", None, endpoint_url="http://127.0.0.1:9", **KEYS)
    session.client("sts").meta.events.register("needs-retry.sts", lambda **_: None)
    with pytest.raises(ShipitError, match="no answer from AWS"):
        _ = session.account


def test_a_wrong_account_is_refused_by_name() -> None:
    from moto import mock_aws

    with mock_aws():
        session = Session("eu-west-1", None, **KEYS)
        session.require_account(None)
        session.require_account("123456789012")
        with pytest.raises(Refused, match="123456789012") as raised:
            session.require_account("210987654321")
    assert "210987654321" in raised.value.why


def test_a_service_that_does_not_exist_is_told() -> None:
    with pytest.raises(ShipitError):
        Session("eu-west-1", None, **KEYS).client("ec3")
