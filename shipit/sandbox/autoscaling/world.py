"""The one place where the current groups and activities live, behind one lock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from threading import RLock

from shipit.sandbox.autoscaling import errors
from shipit.sandbox.autoscaling.activities import Activity
from shipit.sandbox.autoscaling.state import Group, Member


class World:
    """Values under a lock. Nobody calls EC2 or a target group while writing here."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.groups: dict[str, Group] = {}
        self.activities: dict[str, Activity] = {}

    def group(self, name: str) -> Group:
        """Raises the ValidationError for unknown names."""
        found = self.groups.get(name)
        if found is None:
            raise errors.group_not_found(name)
        return found

    def writable(self, name: str) -> Group:
        """The group, unless it is being deleted."""
        group = self.group(name)
        if group.deleting:
            raise errors.invalid(errors.PENDING_DELETE)
        return group

    def find(self, instance_id: str) -> tuple[Group, Member]:
        """The group and member of an instance; raises the ValidationError when no group has it."""
        for group in self.groups.values():
            for member in group.members:
                if member.instance_id == instance_id:
                    return group, member
        raise errors.instance_not_found(instance_id)

    def put(self, group: Group) -> None:
        with self.lock:
            self.groups[group.name] = group

    def remove(self, name: str) -> None:
        """Forgets a group with all that belongs to it; its activities stay, marked as a deleted group's."""
        with self.lock:
            group = self.groups.pop(name)
            for activity in [one for one in self.activities.values() if one.group_arn == group.arn]:
                self.activities[activity.id] = replace(activity, group_deleted=True)

    def change(self, name: str, change: Callable[[Group], Group]) -> None:
        """Replaces a group by what `change` makes of it, if it still exists."""
        with self.lock:
            if name in self.groups:
                self.groups[name] = change(self.groups[name])

    def change_member(self, name: str, key: str, change: Callable[[Member], Member]) -> None:
        """Replaces a member by what `change` makes of it, if both still exist."""
        with self.lock:
            group = self.groups.get(name)
            member = group.member(key) if group else None
            if group and member:
                self.groups[name] = group.with_member(change(member))

    def open(self, activity: Activity) -> None:
        with self.lock:
            self.activities[activity.id] = activity

    def note(self, activity_id: str, status: str, *, describe: Callable[[str], str] = str, progress: int = 50) -> None:
        """Moves an activity that still runs on to another status."""
        with self.lock:
            old = self.activities[activity_id]
            if old.end is None:
                self.activities[activity_id] = replace(
                    old, status=status, progress=progress, description=describe(old.description)
                )

    def close(self, activity_id: str, status: str, now: datetime, message: str | None = None) -> None:
        """Ends an activity that still runs."""
        with self.lock:
            old = self.activities[activity_id]
            if old.end is None:
                description = f"{old.description}.  Status Reason: {message}" if message else old.description
                self.activities[activity_id] = replace(
                    old, status=status, end=now, message=message, progress=100, description=description
                )

    def busy(self, group: Group) -> bool:
        """Whether activities of the group still run."""
        return any(one.end is None for one in self.activities.values() if one.group_arn == group.arn)
