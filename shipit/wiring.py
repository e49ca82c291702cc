"""Config -> the real objects. The only place that reads the environment and the clock of this machine.

Everything is made when it is first asked for: a rollback must not pay for what only a bake needs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipit.aws.fleets import AwsFleets
from shipit.aws.groups import TargetGroups
from shipit.aws.launching import Launcher
from shipit.aws.record import DynamoRecord, NoRecord
from shipit.aws.session import Session
from shipit.aws.traffic import AwsTraffic, listener_of
from shipit.clock import SystemClock
from shipit.config import Config, as_document, find_config, load_config
from shipit.errors import UsageError
from shipit.events import Listener
from shipit.lease import Lease
from shipit.ports import Launch, Record
from shipit.release.engine import Engine
from shipit.release.outcome import Ports
from shipit.release.policy import Policy

if TYPE_CHECKING:
    from shipit.aws.builders import AwsBuilders
    from shipit.aws.doctor import AwsCheckup
    from shipit.aws.images import AwsImages
    from shipit.aws.leftovers import AwsLeftovers
    from shipit.aws.retention import AwsRetention
    from shipit.bake.baker import PackerBaker
    from shipit.bake.git import Repository
    from shipit.bake.packer import Packer
    from shipit.sandbox.state import State

SANDBOX = "sandbox"
# Long enough that the scheduled retirement lies in the future when AWS reads it.
SHORTEST_KEEP_SECONDS = 120.0
# Health settings that AWS never sees: changing one needs no new fleet.
_SIZES = {"size", "min_size", "max_size"}
_OURS_ALONE = {"steady_seconds", "tolerate_seconds", "deadline_seconds", "percent", "poll_seconds"}


class Shop:
    """All that a command needs, for one app and environment."""

    def __init__(self, config: Config, clock: SystemClock, hear: Listener, profile: str | None = None) -> None:
        self.config = config
        self.clock = clock
        self.hear = hear
        self._profile = profile

    @cached_property
    def session(self) -> Session:
        settings = self.config.settings
        state = running_sandbox() if self.config.env == SANDBOX else None
        if state:
            keys = {"aws_access_key_id": SANDBOX, "aws_secret_access_key": SANDBOX}
            return Session(state.region, None, endpoint_url=state.endpoint_url, **keys)
        return Session(settings.region, self._profile)

    @cached_property
    def engine(self) -> Engine:
        ports = Ports(self.fleets, self.traffic, _LateBaker(self), self.clock, self.lease)
        return Engine(ports, policy_of(self.config), self.hear, self.config.app, self.config.env)

    @cached_property
    def groups(self) -> TargetGroups:
        return TargetGroups(self.session, self.config.settings, self.config.env, self._listener)

    @cached_property
    def traffic(self) -> AwsTraffic:
        rule = self.config.settings.traffic.rule
        return AwsTraffic(self.session, self.groups, self.clock, self._listener, rule)

    @cached_property
    def fleets(self) -> AwsFleets:
        launcher = Launcher(
            self.session, self.groups, self.config.settings, self.config.env, self._user_data, self.clock
        )
        return AwsFleets(self.session, self.groups, launcher, self.clock, self.config.app, self.config.env)

    @cached_property
    def images(self) -> AwsImages:
        from shipit.aws.images import AwsImages

        return AwsImages(self.session, self.config.app, self.clock)

    @cached_property
    def repository(self) -> Repository:
        from shipit.bake.git import Repository

        return Repository(self.config.folder)

    @cached_property
    def baker(self) -> PackerBaker:
        from shipit.bake.baker import PackerBaker, Workplace

        workplace = Workplace(os.environ, log_folder(), self.who)
        return PackerBaker(self.config, self.images, self.builders, self.clock, self.hear, workplace)

    @cached_property
    def packer(self) -> Packer:
        """The one on this machine, fit for `bake.communicator`. Raises `UsageError` when there is none."""
        from shipit.bake.packer import find_packer
        from shipit.bake.ssm import require_ssm

        found = find_packer(os.environ)
        require_ssm(self.config.settings.bake, found, os.environ)
        return found

    @cached_property
    def builders(self) -> AwsBuilders:
        from shipit.aws.builders import AwsBuilders

        return AwsBuilders(self.session)

    @cached_property
    def leftovers(self) -> AwsLeftovers:
        from shipit.aws.leftovers import AwsLeftovers

        action = self.config.settings.traffic.rule or self._listener
        return AwsLeftovers(self.session, self.config.app, self.config.env, action)

    @cached_property
    def retention(self) -> AwsRetention:
        from shipit.aws.retention import AwsRetention

        return AwsRetention(self.session, self.config.app)

    @cached_property
    def checkup(self) -> AwsCheckup:
        from shipit.aws.doctor import AwsCheckup

        return AwsCheckup(self.session, lambda: self._listener)

    @cached_property
    def record(self) -> Record:
        table = self.config.settings.record
        if table == "none":
            return NoRecord()
        return DynamoRecord(self.session, self.clock, table, self.config.app, self.config.env)

    @cached_property
    def lease(self) -> Lease:
        """The right to act, not taken yet; from here on every wait and every write ask it."""
        lease = Lease(self.record, self.clock.now, self.clock.sleep, nudge=self.clock.nudge)
        self.clock.watch, self.session.guard = lease.check, lease.guard
        return lease

    @cached_property
    def who(self) -> str:
        from shipit.bake.who import who

        return who(os.environ)

    @cached_property
    def where(self) -> str:
        from shipit.bake.who import where

        return where(os.environ)

    @cached_property
    def launch_digest(self) -> str:
        """Names everything about a launch but image, version and size: another digest, another fleet."""
        settings = as_document(self.config.settings)
        facts: dict[str, Any] = {
            "fleet": {key: value for key, value in settings["fleet"].items() if key not in _SIZES},
            "health": {key: value for key, value in settings["health"].items() if key not in _OURS_ALONE},
            "environment": settings["run"]["environment"],
            "drain_seconds": settings["traffic"]["drain_seconds"],
            "user_data": _file_digest(self.config.folder, settings["fleet"]["user_data"]),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def _listener(self) -> str:
        traffic = self.config.settings.traffic
        if traffic.rule:
            return listener_of(traffic.rule)
        if traffic.listener is None:
            raise UsageError(
                "shipit.yml names no listener",
                "traffic.listener is empty",
                "traffic: {listener: arn:aws:elasticloadbalancing:…}",
            )
        return traffic.listener

    def _user_data(self, launch: Launch) -> str:
        from shipit.bake.user_data import render_user_data

        return render_user_data(self.config, launch)


class _LateBaker:
    """`ports.Baker` that makes the real one, with all its imports, only when it is asked for an image."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shop.baker, name)


def open_shop(
    hear: Listener, clock: SystemClock, *, env: str | None = None, path: Path | None = None, profile: str | None = None
) -> Shop:
    """Reads the config for the environment (`--env`, else SHIPIT_ENV) and wires everything for it."""
    chosen = env or os.environ.get("SHIPIT_ENV") or None
    where = path or (Path(os.environ["SHIPIT_CONFIG"]) if os.environ.get("SHIPIT_CONFIG") else find_config(Path.cwd()))
    builtin = {SANDBOX: sandbox_settings()} if chosen == SANDBOX else {}
    return Shop(load_config(where, chosen, builtin), clock, hear, profile)


def policy_of(config: Config) -> Policy:
    """The settings that the decision needs."""
    settings = config.settings
    health, traffic = settings.health, settings.traffic
    return Policy(
        size=settings.fleet.size,
        health_percent=health.percent,
        steady_seconds=health.steady_seconds,
        deadline_seconds=health.deadline_seconds,
        keep_seconds=max(SHORTEST_KEEP_SECONDS, settings.rollback.keep_minutes * 60),
        settle_seconds=traffic.settle_seconds,
        dip_seconds=health.tolerate_seconds,
        floor=1 if traffic.dns_evaluates_health else 0,
        poll_seconds=health.poll_seconds,
    )


def log_folder() -> Path:
    """Where full logs of bakes are kept: SHIPIT_LOGS, else the user's state folder (XDG)."""
    if os.environ.get("SHIPIT_LOGS"):
        return Path(os.environ["SHIPIT_LOGS"])
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "shipit" / "logs"


def running_sandbox() -> State:
    """The sandbox that `--env sandbox` means. Raises `UsageError` when it is not up."""
    from shipit.sandbox import state

    name = os.environ.get("SHIPIT_SANDBOX", state.DEFAULT_NAME)
    found = state.read(name)
    if found is None or not state.is_alive(found):
        raise UsageError("the sandbox is not running", f"there is no live sandbox called {name!r}", "shipit sandbox up")
    return found


def sandbox_settings() -> Mapping[str, Any]:
    """What `--env sandbox` lays over shipit.yml: where things are in the sandbox, and checks as fast as it allows."""
    state = running_sandbox()
    source: dict[str, Any] = {"id": state.base_image_id, "name": None, "owners": []}
    bake = {
        "source_image": source,
        "ssh_username": "root",
        "ssh_interface": "private_ip",
        "subnet": state.subnet_ids[0],
    }
    fast = {"steady_seconds": 1, "tolerate_seconds": 5, "poll_seconds": 0.3} if state.fast else {}
    settle = {"settle_seconds": 2, "drain_seconds": 3} if state.fast else {}
    return {
        "region": state.region,
        "account": None,
        "bake": {**bake, "instance_profile": None, "security_groups": [], "encrypt": False, "communicator": "ssh"},
        "fleet": {
            "subnets": state.subnet_ids,
            "security_groups": [state.security_group_ids["app"]],
            "instance_profile": state.instance_profile,
            "grace_seconds": 30,
        },
        "health": fast,
        "traffic": {"listener": state.listener_arn, "rule": None, **settle},
    }


def _file_digest(folder: Path, name: str | None) -> str:
    if name is None:
        return ""
    try:
        return hashlib.sha256((folder / name).read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"fleet.user_data: {name} cannot be read", str(error), f"is {folder / name} there?") from error
