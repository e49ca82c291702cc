"""Config -> the real objects. The only place that reads the environment and the clock of this machine.

Everything is made when it is first asked for: a rollback must not pay for what only a bake needs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
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
from shipit.events import Listener, Note
from shipit.gate import Gates, NoGates, Running, World
from shipit.hooks import Hooks, NoHooks, Point, ProgramHooks
from shipit.lease import Lease
from shipit.ports import Launch, Metrics, Record
from shipit.release.engine import Engine
from shipit.release.outcome import Ports
from shipit.release.policy import Policy
from shipit.sandboxed import SANDBOX, running_sandbox, sandbox_settings

if TYPE_CHECKING:
    from shipit.aws.builders import AwsBuilders
    from shipit.aws.doctor import AwsCheckup
    from shipit.aws.images import AwsImages
    from shipit.aws.leftovers import AwsLeftovers
    from shipit.aws.retention import AwsRetention
    from shipit.bake.baker import PackerBaker
    from shipit.bake.git import Repository
    from shipit.bake.packer import Packer

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
        self._programs: list[Running] = []

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
        ports = Ports(self.fleets, self.traffic, _LateBaker(self), self.clock, self.lease, self.gates, self.hooks)
        return Engine(ports, policy_of(self.config), self.hear, self.config.app, self.config.env)

    @cached_property
    def gates(self) -> Gates:
        settings = self.config.settings.gates
        if not gated(settings):
            return NoGates()
        from shipit.gates import seats
        from shipit.panel import Panel

        return Panel(seats(settings, self._world()), self.clock, self.hear)

    @cached_property
    def hooks(self) -> Hooks:
        settings = self.config.settings.hooks
        commands = {point.value: getattr(settings, point.value) for point in Point}
        if not any(commands.values()):
            return NoHooks()
        return ProgramHooks(commands, self._runs(settings.timeout_seconds), self._note)

    def _runs(self, seconds: float) -> Callable[[str, Mapping[str, str], Callable[[str], None]], int | None]:
        return lambda command, facts, said: self._run(command, facts, seconds, said)

    def _run(self, command: str, facts: Mapping[str, str], seconds: float, said: Callable[[str], None]) -> int | None:
        """A program of the user's, in the folder of shipit.yml; it ends when shipit is asked to stop."""
        from shipit import program

        environment = {**os.environ, **facts}
        return program.run(command, environment, self.config.folder, seconds, said, self.clock.sleep)

    def _start(self, command: str, facts: Mapping[str, str], seconds: float, said: Callable[[str], None]) -> Running:
        """One that runs beside the release, and ends with it."""
        from shipit.program import Program

        self._programs.append(Program(command, {**os.environ, **facts}, self.config.folder, seconds, said))
        return self._programs[-1]

    def end_programs(self) -> None:
        """Ends what gates have started and what is still running."""
        for program in self._programs:
            program.end()
        self._programs.clear()

    @cached_property
    def metrics(self) -> Metrics:
        from shipit.aws.metrics import AwsMetrics

        settings = self.config.settings.gates
        return AwsMetrics(self.session, self.groups, self._listener, settings.period_seconds, settings.lag_seconds)

    def _world(self) -> World:
        from shipit import front_door

        return World(self.metrics, self._start, front_door.ask, self._note)

    def _note(self, text: str) -> None:
        self.hear(Note(at=self.clock.now(), app=self.config.app, env=self.config.env, text=text))

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
        return self.record_of(self.config.env)

    def record_of(self, env: str) -> Record:
        """The record of that environment of the app, as far as it is kept where ours is."""
        table = self.config.settings.record
        if table == "none":
            return NoRecord()
        return DynamoRecord(self.session, self.clock, table, self.config.app, env)

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
        gated=gated(settings.gates),
        hooked=settings.hooks.before_traffic is not None,
    )


def gated(settings: Any) -> bool:
    """Whether any gate is set."""
    return any(value for key, value in vars(settings).items() if key not in ("period_seconds", "lag_seconds"))


def log_folder() -> Path:
    """Where full logs of bakes are kept: SHIPIT_LOGS, else the user's state folder (XDG)."""
    if os.environ.get("SHIPIT_LOGS"):
        return Path(os.environ["SHIPIT_LOGS"])
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "shipit" / "logs"


def _file_digest(folder: Path, name: str | None) -> str:
    if name is None:
        return ""
    try:
        return hashlib.sha256((folder / name).read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"fleet.user_data: {name} cannot be read", str(error), f"is {folder / name} there?") from error
