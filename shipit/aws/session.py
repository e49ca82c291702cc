"""One boto session, its clients, and who we are.

Region: shipit.yml, then AWS_REGION, AWS_DEFAULT_REGION, profile, config; boto3 itself ignores AWS_REGION.
Clients are made one after the other on one session and then shared by threads: a second session costs more than five
clients.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from shipit import __version__
from shipit.aws.errors import translate, translated
from shipit.errors import AccessError, CloudError, Refused, ShipitError, UsageError

# Operations that change nothing.
READING = ("Describe", "Get", "List", "Query", "Search", "Simulate", "AssumeRole", "Decode")
# A write that timed out may take effect, and somebody may move traffic before botocore sends it again.
TRAFFIC = frozenset({"ModifyListener", "ModifyRule"})
# The record is comfort: a lease is renewed again a second later, and a write of traffic or an abort must not wait long for
# a DynamoDB that hangs.
USUAL: dict[str, Any] = {
    "retries": {"mode": "standard", "total_max_attempts": 6},
    "connect_timeout": 3,
    "read_timeout": 20,
}
BRIEF: dict[str, Any] = {
    "retries": {"mode": "standard", "total_max_attempts": 3},
    "connect_timeout": 1,
    "read_timeout": 3,
}


class Session:
    """Clients by service name. `profile` None means boto3's own way of finding credentials.

    `environment` overrides what boto3 would take from the process environment: endpoint, credentials, region.
    """

    def __init__(self, region: str | None = None, profile: str | None = None, **overrides: str) -> None:
        self._region = region
        self._profile = profile
        self._overrides = overrides
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        # Asked before every write, with the name of the operation; what it raises reaches the caller, and nothing is sent.
        self.guard: Callable[[str], None] = lambda operation: None

    @cached_property
    def _boto(self) -> Any:
        import botocore.session

        session = botocore.session.Session(profile=self._profile)
        with translated("reading the AWS configuration"):
            # A profile that does not exist is told here, whatever else is known without it.
            session.get_scoped_config()
        session.register_component("data_loader", _quick_loader())
        region = self._region or os.environ.get("AWS_REGION")
        if region:
            session.set_config_variable("region", region)
        return session

    @cached_property
    def region(self) -> str:
        """Raises `UsageError` when nobody says which."""
        with translated("reading the AWS configuration"):
            region = self._boto.get_config_variable("region")
        if not region:
            raise UsageError(
                "no AWS region", "neither shipit.yml nor the environment names one", "set `region:` or AWS_REGION"
            )
        if not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", str(region)):
            raise UsageError(
                f"{region!r} is not an AWS region", "it would be a part of AWS's host names", "AWS_REGION=eu-west-1"
            )
        return str(region)

    def client(self, service: str) -> Any:
        """The one client of this service; retries throttling and 5xx a few times, longer waits are the caller's."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._new_client(service)
            return self._clients[service]

    def _new_client(self, service: str) -> Any:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        patience = BRIEF if service == "dynamodb" else USUAL
        config = Config(user_agent_extra=f"shipit/{__version__}", **patience)
        try:
            client = self._boto.create_client(service, region_name=self.region, config=config, **self._overrides)
        except (ValueError, BotoCoreError) as error:
            raise _unusable(error, service) from error
        client.meta.events.register("before-send", self._before_send)
        return client

    def _before_send(self, request: Any, event_name: str, **_: Any) -> None:
        """Stands before every attempt of every call, so also between two attempts of botocore's own."""
        service, operation = event_name.split(".")[1:3]
        if service == "dynamodb" or operation.startswith(READING):
            return
        if operation in TRAFFIC and _attempt(request) > 1:
            raise CloudError(
                "a write of traffic is not repeated before it is read back",
                "the first attempt failed",
                "",
                "Unreachable",
            )
        self.guard(operation)

    @cached_property
    def account(self) -> str:
        """The account id that the credentials belong to."""
        with translated("asking AWS who we are"):
            return str(self.client("sts").get_caller_identity()["Account"])

    def require_account(self, wanted: str | None) -> None:
        """Raises `Refused` when the credentials belong to another account than shipit.yml names."""
        if wanted and self.account != wanted:
            raise Refused(
                f"these credentials belong to account {self.account}",
                f"shipit.yml says account {wanted}",
                "choose other credentials: AWS_PROFILE=NAME",
            )


def _attempt(request: Any) -> int:
    """Which attempt of botocore's this is: it says so in the header `amz-sdk-request` (`attempt=2; max=6`)."""
    header = request.headers.get("amz-sdk-request", b"")
    text = header.decode() if isinstance(header, bytes) else str(header)
    found = re.search(r"attempt=(\d+)", text)
    return int(found[1]) if found else 1


def _unusable(error: Exception, service: str) -> ShipitError:
    """Making a client asks nobody: but for missing credentials, an error there is one of variables or of ~/.aws."""
    known = translate(error, f"connecting to {service}")
    if isinstance(known, (AccessError, UsageError)):
        return known
    hint = "aws configure list; is AWS_ENDPOINT_URL right?"
    return UsageError(f"the AWS configuration is not usable for {service}", str(error), hint)


def _quick_loader() -> Any:
    """botocore's loader without its search through the folders of all 400 services before it opens the one that is wanted:
    that search takes longer than anything else in making a client.
    """
    import botocore.loaders

    class Loader(botocore.loaders.Loader):
        def list_available_services(self, type_name: str) -> Any:
            return _Anything()

    extra = os.environ.get("AWS_DATA_PATH", "")
    return Loader(extra_search_paths=[str(Path(part).expanduser()) for part in extra.split(os.pathsep) if part])


class _Anything:
    """Contains every name; a service that does not exist is found out when its model is opened."""

    def __contains__(self, name: object) -> bool:
        return True
