"""The targets of one group and their HAProxy servers: who is checked, who gets requests, who is leaving."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from shipit.sandbox.health import Progress, described
from shipit.sandbox.seams import Group, Target, TargetHealth
from shipit.sandbox.servers import Rows

# Counters of `show stat`, by the name that the seam has for them.
COUNTED = {
    "requests": "stot",
    "2xx": "hrsp_2xx",
    "3xx": "hrsp_3xx",
    "4xx": "hrsp_4xx",
    "5xx": "hrsp_5xx",
    "connection_errors": "econ",
}


@dataclass(eq=False)
class Member:
    """A registered target. `name` is its server in HAProxy, never used twice; `state` what HAProxy was told of it.

    `generation` tells the reports of the running checks from those of checks that were stopped.
    """

    target: Target
    name: str
    progress: Progress = field(default_factory=Progress)
    draining: bool = False
    state: str = "maint"
    checks: Future[None] | None = None
    generation: int = 0
    timer: Future[None] | None = None

    def stop_checks(self) -> None:
        """Ends the checks; what they found so far is kept."""
        if self.checks is not None:
            self.checks.cancel()
        self.checks = None
        self.generation += 1

    def forget_checks(self) -> None:
        """Ends the checks; the next ones start from nothing."""
        self.stop_checks()
        self.progress = Progress()

    def revive(self, target: Target) -> None:
        """Draining is off; the target starts again as a new one would."""
        self.stop()
        self.target, self.draining, self.progress = target, False, Progress()

    def stop(self) -> None:
        """Ends checks and timer."""
        self.stop_checks()
        if self.timer is not None:
            self.timer.cancel()
        self.timer = None


@dataclass(eq=False)
class Pool:
    """A target group in its backend. `gone` counts what servers that are no more have answered."""

    group: Group
    backend: str
    members: dict[tuple[str, int], Member] = field(default_factory=dict)
    gone: Counter[str] = field(default_factory=Counter)
    leaving: int = 0

    def of(self, target_id: str) -> list[Member]:
        """All registrations of one instance, on whatever port."""
        return [member for member in self.members.values() if member.target.id == target_id]

    def wants_checks(self, member: Member) -> bool:
        """The three conditions of field note A4, and not leaving."""
        target = member.target
        return self.group.referenced and target.zone_enabled and target.runs and not member.draining

    def stop_checks(self) -> None:
        """For new settings: the next checks go on from what these found."""
        for member in self.members.values():
            member.stop_checks()

    def health(self) -> list[TargetHealth]:
        """Every target in AWS's words."""
        return [self._health(member) for member in self.members.values()]

    def changes(self) -> Iterator[tuple[Member, str]]:
        """The members whose HAProxy state must change, those that open first: the group is never shut in between."""
        open_to = self.open_members()
        wanted = [(member, _state(member, open_to)) for member in self.members.values()]
        yield from sorted(
            ((m, state) for m, state in wanted if m.state != state), key=lambda change: change[1] != "ready"
        )

    def open_members(self) -> list[Member]:
        """Who gets requests: the healthy, or all when none is (fail open, field note A6).

        A group that nobody names stays open: requests routed a moment ago may still be arriving, and no new ones can.
        """
        usable = [m for m in self.members.values() if m.target.runs and m.target.zone_enabled and not m.draining]
        healthy = [m for m in usable if m.progress.state == "healthy"]
        return healthy or usable

    def open_servers(self) -> list[str]:
        """Their names inside the backend."""
        return [member.name.partition("/")[2] for member in self.open_members()]

    def counts(self, rows: Rows) -> dict[str, int]:
        """What the targets answered, by class, over the group's life."""
        total = Counter(self.gone)
        for (backend, _), row in rows.items():
            if backend == self.backend:
                total.update(_row_counts(row))
        return {name: total[name] for name in COUNTED}

    def keep_counts(self, member: Member, rows: Rows) -> None:
        """Adds what a server that is about to go has answered."""
        backend, _, server = member.name.partition("/")
        self.gone.update(_row_counts(rows.get((backend, server), {})))

    def _health(self, member: Member) -> TargetHealth:
        return described(member.target, member.progress, referenced=self.group.referenced, draining=member.draining)


def _state(member: Member, open_to: list[Member]) -> str:
    if member.draining:
        return "drain"
    return "ready" if member in open_to else "maint"


def _row_counts(row: Mapping[str, str]) -> dict[str, int]:
    return {name: int(row.get(column) or 0) for name, column in COUNTED.items()}
