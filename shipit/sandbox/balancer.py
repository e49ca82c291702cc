"""An Application Load Balancer on loopback: HAProxy, our routing table in its Lua, our own health checks.

HAProxy cannot add frontends or backends while it runs, and a reload would break long requests. So it starts with many
of both, and all that ever changes goes over its runtime socket: servers, their states, and the routing table.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from shipit.sandbox.haproxy import GROUP_SLOTS, LISTENER_SLOTS, Haproxy, HaproxyError
from shipit.sandbox.health import Loop, Progress, check_forever
from shipit.sandbox.pool import Member, Pool
from shipit.sandbox.routing import listener_table, literal, stuck_table
from shipit.sandbox.seams import Group, Listener, Names, Target, TargetHealth
from shipit.sandbox.servers import Servers

DELETE_ATTEMPTS = 500
DELETE_PAUSE_SECONDS = 0.02


class HaproxyBalancer:
    """The data plane (`seams.Balancer`). Its files are in `state_dir`; the first listeners get `listener_ports`."""

    def __init__(self, state_dir: Path, listener_ports: Sequence[int] | None = None) -> None:
        self._lock = threading.RLock()
        self._names = itertools.count(1)
        self._versions = itertools.count(1)
        self._listeners: list[Listener] = []
        self._slots: dict[str, int] = {}
        self._published: dict[str, object] = {}
        self._pools: dict[str, Pool] = {}
        self._free_backends = [f"g{number}" for number in reversed(range(GROUP_SLOTS))]
        self._routes_file = state_dir / "routes.lua"
        self._fails: Callable[[str], bool] = lambda _: False
        self._loop = Loop()
        self._haproxy = Haproxy(state_dir, listener_ports or ())
        self._servers = Servers(self._haproxy.socket)
        try:
            self._loop.run(self._haproxy.start)
        except BaseException:
            self.close()
            raise

    def set_listeners(self, listeners: Sequence[Listener]) -> None:
        """Makes these the routing tables, between two requests. Raises `HaproxyError` when there are too many."""
        with self._lock:
            self._slots = _slots_for([listener.arn for listener in listeners], self._slots)
            self._listeners = list(listeners)
            self._publish()

    def set_groups(self, groups: Sequence[Group]) -> None:
        """Makes these the target groups. The targets of a group that is no more are cut off."""
        with self._lock:
            kept = {group.arn for group in groups}
            if len(kept - set(self._pools)) > len(self._free_backends):
                raise HaproxyError(f"the sandbox has room for {GROUP_SLOTS} target groups, those just deleted included")
            for arn in [arn for arn in self._pools if arn not in kept]:
                self._drop_pool(self._pools.pop(arn))
            for group in groups:
                self._set_group(group)
            self._publish()

    def register(self, group_arn: str, target: Target) -> None:
        """Adds a target, or revives one that is draining; one that is registered already is left as it is."""
        with self._lock:
            pool = self._pools[group_arn]
            member = pool.members.get((target.id, target.port))
            if member is None:
                self._add_member(pool, target)
            elif member.draining:
                member.revive(target)
            self._settle(pool)

    def deregister(self, group_arn: str, target_id: str) -> None:
        """Starts draining every registration of the instance. Unknown ids are fine."""
        with self._lock:
            pool = self._pools[group_arn]
            for member in pool.of(target_id):
                if not member.target.runs:
                    self._remove(pool, member)
                elif not member.draining:
                    self._drain(pool, member)
            self._settle(pool)

    def update_target(self, group_arn: str, target: Target) -> None:
        """Tells that the instance stopped, started or moved. One that dies while draining is forgotten."""
        with self._lock:
            pool = self._pools[group_arn]
            member = pool.members.get((target.id, target.port))
            if member is None or member.target == target:
                return
            if not target.runs and member.draining:
                self._remove(pool, member)
            elif target.address != member.target.address:
                self._remove(pool, member)
                self._add_member(pool, target)
            else:
                member.target = target
            self._settle(pool)

    def health(self, group_arn: str) -> Sequence[TargetHealth]:
        """Every target of the group, the draining ones included."""
        with self._lock:
            pool = self._pools.get(group_arn)
            return pool.health() if pool else []

    def front_door(self, listener_arn: str) -> str | None:
        """The listener's URL, or None for an unknown one."""
        with self._lock:
            slot = self._slots.get(listener_arn)
            return None if slot is None else f"http://127.0.0.1:{self._haproxy.ports[slot]}"

    def meddle(self, fails: Callable[[str], bool]) -> None:
        """For checks that begin from now on."""
        self._fails = fails

    def counters(self) -> Mapping[str, Mapping[str, int]]:
        """What targets answered, by group. Answers of the balancer itself (502, 503, 504) are not among them."""
        with self._lock:
            rows = self._servers.rows()
            return {arn: pool.counts(rows) for arn, pool in self._pools.items()}

    @property
    def log_socket(self) -> Path:
        return self._haproxy.socket.path

    def names(self) -> Names:
        with self._lock:
            listeners = {f"s{slot}": arn for arn, slot in self._slots.items()}
            return Names(listeners, {pool.backend: arn for arn, pool in self._pools.items()})

    @property
    def pid(self) -> int | None:
        """HAProxy's process id."""
        return self._haproxy.pid

    def close(self) -> None:
        """Ends HAProxy and the checks; leaves no file."""
        self._loop.close()
        self._haproxy.stop()
        self._routes_file.unlink(missing_ok=True)

    def _publish(self) -> None:
        backend_of = {arn: pool.backend for arn, pool in self._pools.items()}
        sticky = [pool for pool in self._pools.values() if pool.group.stickiness_seconds]
        table = {
            "listeners": {self._slots[item.arn]: listener_table(item, backend_of) for item in self._listeners},
            "stuck": {
                pool.backend: stuck_table(pool.group.stickiness_seconds or 0, pool.open_servers()) for pool in sticky
            },
        }
        if table == self._published:
            return
        version = next(self._versions)
        self._routes_file.write_text("return " + literal({"version": version, **table}))
        self._servers.load_routes(str(self._routes_file), version)
        self._published = table

    def _set_group(self, group: Group) -> None:
        pool = self._pools.get(group.arn)
        if pool is None:
            pool = self._pools[group.arn] = Pool(group, self._free_backends.pop())
        if pool.group.check != group.check:
            pool.stop_checks()
        pool.group = group
        self._settle(pool)

    def _drop_pool(self, pool: Pool) -> None:
        for member in list(pool.members.values()):
            self._remove(pool, member)
        self._free_backend_of(pool)

    def _free_backend_of(self, pool: Pool) -> None:
        """A backend serves another group only when the last server of this one is gone."""
        if self._pools.get(pool.group.arn) is not pool and not pool.leaving:
            self._free_backends.append(pool.backend)

    def _add_member(self, pool: Pool, target: Target) -> None:
        member = Member(target, name=f"{pool.backend}/{target.id}.{next(self._names)}")
        self._servers.add(member.name, target)
        pool.members[target.id, target.port] = member

    def _drain(self, pool: Pool, member: Member) -> None:
        member.draining = True
        member.timer = self._loop.after(pool.group.drain_seconds, lambda: self._drained(pool, member))

    def _drained(self, pool: Pool, member: Member) -> None:
        with self._lock:
            if member.draining and member in pool.members.values():
                self._remove(pool, member)

    def _remove(self, pool: Pool, member: Member) -> None:
        """Forgets the target at once; its server goes as soon as its connections are cut."""
        member.stop()
        del pool.members[member.target.id, member.target.port]
        pool.leaving += 1
        self._loop.spawn(self._delete(pool, member))

    async def _delete(self, pool: Pool, member: Member) -> None:
        for _ in range(DELETE_ATTEMPTS):
            with self._lock:
                rows = self._servers.rows()
                if self._servers.cut(member.name):
                    pool.leaving -= 1
                    pool.keep_counts(member, rows)
                    self._free_backend_of(pool)
                    return
            await asyncio.sleep(DELETE_PAUSE_SECONDS)

    def _settle(self, pool: Pool) -> None:
        """Makes the checks and HAProxy's server states what they should be, after anything changed."""
        for member in pool.members.values():
            if not pool.wants_checks(member):
                member.forget_checks()
            elif member.checks is None:
                report = self._reporter(pool, member)
                fails = partial(self._fails, pool.group.arn)
                member.checks = self._loop.spawn(
                    check_forever(member.target, pool.group.check, member.progress, report, fails)
                )
        changes = list(pool.changes())
        if not changes:
            return
        self._servers.set_states([(member.name, state) for member, state in changes])
        for member, state in changes:
            member.state = state
        if pool.group.stickiness_seconds:
            self._publish()

    def _reporter(self, pool: Pool, member: Member) -> Callable[[Progress], None]:
        generation = member.generation

        def report(progress: Progress) -> None:
            with self._lock:
                # A check that was cancelled while it waited for the lock has nothing to say any more.
                if member.generation == generation:
                    member.progress = progress
                    self._settle(pool)

        return report


def _slots_for(arns: Sequence[str], taken: Mapping[str, int]) -> dict[str, int]:
    """A frontend for each listener: the one that it has, or the first free one."""
    slots = {arn: slot for arn, slot in taken.items() if arn in arns}
    free = (slot for slot in range(LISTENER_SLOTS) if slot not in slots.values())
    new = [arn for arn in arns if arn not in slots]
    found = dict(zip(new, list(free), strict=False))
    if len(found) < len(new):
        raise HaproxyError(f"the sandbox has room for {LISTENER_SLOTS} listeners")
    return slots | found
