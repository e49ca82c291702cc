"""One boto session, its clients, and who we are.

Region: shipit.yml, then AWS_REGION, AWS_DEFAULT_REGION, profile, config; boto3 itself ignores AWS_REGION.
Clients are made one after the other on one session and then shared by threads: a second session costs more than five
clients.
"""

from __future__ import annotations

import os
import threading
from functools import cached_property
from pathlib import Path
from typing import Any

from shipit import __version__
from shipit.aws.errors import translated
from shipit.errors import Refused, UsageError


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

    @cached_property
    def _boto(self) -> Any:
        import botocore.session

        session = botocore.session.Session(profile=self._profile)
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
        return str(region)

    def client(self, service: str) -> Any:
        """The one client of this service; retries throttling and 5xx a few times, longer waits are the caller's."""
        with self._lock:
            if service not in self._clients:
                self._clients[service] = self._new_client(service)
            return self._clients[service]

    def _new_client(self, service: str) -> Any:
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "total_max_attempts": 6},
            connect_timeout=3,
            read_timeout=20,
            user_agent_extra=f"shipit/{__version__}",
        )
        with translated(f"connecting to {service}"):
            return self._boto.create_client(service, region_name=self.region, config=config, **self._overrides)

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
