"""What stands before every write to AWS: the guard, and that a write of traffic is never repeated blindly."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from shipit.aws.errors import translated
from shipit.aws.session import Session
from shipit.errors import CloudError, LeaseLost

LISTENER = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:listener/app/web/1/2"
GROUP = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/one/1"


class Failing(BaseHTTPRequestHandler):
    """An AWS that answers everything with 500, and counts."""

    asked: list[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append(body.partition("Action=")[2].partition("&")[0])
        self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def session(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    from botocore.retries.standard import ExponentialBackoff

    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Counting", (Failing,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    yield Session("eu-west-1", endpoint_url=url, aws_access_key_id="x", aws_secret_access_key="x")
    server.shutdown()
    thread.join()
    server.server_close()


def shift(session: Session) -> None:
    with translated("shifting traffic"):
        actions = [{"Type": "forward", "TargetGroupArn": GROUP}]
        session.client("elbv2").modify_listener(ListenerArn=LISTENER, DefaultActions=actions)


def test_a_write_of_traffic_is_sent_once_whatever_the_answer(session: Session, asked: list[str]) -> None:
    with pytest.raises(CloudError, match="not repeated before it is read back"):
        shift(session)
    assert asked == ["ModifyListener"]


def test_what_is_no_traffic_is_repeated(session: Session, asked: list[str]) -> None:
    with pytest.raises(CloudError), translated("looking"):
        session.client("elbv2").describe_rules(ListenerArn=LISTENER)
    assert len(asked) == 6


def test_the_guard_is_asked_before_every_attempt_of_a_write(session: Session) -> None:
    heard: list[str] = []
    session.guard = heard.append
    with pytest.raises(CloudError), translated("tagging"):
        session.client("autoscaling").delete_tags(Tags=[{"ResourceId": "g", "ResourceType": "t", "Key": "k"}])
    assert heard == ["DeleteTags"] * 6


def test_a_write_that_the_guard_refuses_is_never_sent(session: Session, asked: list[str]) -> None:
    def refuse(operation: str) -> None:
        raise LeaseLost(f"no {operation}")

    session.guard = refuse
    with pytest.raises(LeaseLost, match="no ModifyListener"):
        shift(session)
    assert asked == []


@pytest.mark.parametrize(("service", "operation"), [("ec2", "describe_images"), ("dynamodb", "list_tables")])
def test_reads_and_the_record_itself_ask_nobody(session: Session, service: str, operation: str) -> None:
    heard: list[str] = []
    session.guard = heard.append
    with pytest.raises(CloudError), translated("reading"):
        getattr(session.client(service), operation)()
    assert heard == []
