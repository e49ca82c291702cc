"""The loop's work: look, decide, carry out; group by group."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shipit.sandbox.autoscaling import moves, transitions
from shipit.sandbox.autoscaling.activities import DRAINING, TARGETS_MISSING
from shipit.sandbox.autoscaling.decide import decide
from shipit.sandbox.autoscaling.launching import request_for, template_ref
from shipit.sandbox.autoscaling.schedule import run_due
from shipit.sandbox.autoscaling.seams import Clock, Ec2, InvalidTemplate, LaunchError, TargetGroups, TemplateFacts
from shipit.sandbox.autoscaling.state import Group, Member, Retry
from shipit.sandbox.autoscaling.world import World

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """How fast the loop goes: between ticks, and between launches that fail (doubling up to the cap)."""

    tick_seconds: float = 0.1
    retry_seconds: float = 1.0
    retry_cap_seconds: float = 30.0


@dataclass(frozen=True)
class Reconciler:
    """`submit` runs work that may block: on threads in the daemon, at once in tests."""

    world: World
    ec2: Ec2
    target_groups: TargetGroups
    clock: Clock
    submit: Callable[[Callable[[], None]], None]
    pace: Pace = Pace()
    _told: dict[str, str] = field(default_factory=dict)

    def tick(self) -> None:
        for name in list(self.world.groups):
            with self._surviving(name):
                self._reconcile(name)

    @contextmanager
    def _surviving(self, name: str) -> Iterator[None]:
        """One sick group, instance or seam must not stop the others; its trouble is logged once, not at every tick."""
        try:
            yield
        except Exception as trouble:
            if self._told.get(name) != repr(trouble):
                log.exception("Auto Scaling group %s: reconciling failed, trying again", name)
            self._told[name] = repr(trouble)

    def _reconcile(self, name: str) -> None:
        run_due(self.world, name, self.clock.now())
        group = self.world.groups.get(name)
        if group is None:
            return
        facts = self._look(group)
        with self.world.lock:
            group = self.world.groups[name]
            todo = decide(group, facts)
            self.world.put(_settled(group, todo))
        for move in todo:
            with self._surviving(name):
                self._carry_out(name, move)

    def _look(self, group: Group) -> moves.Facts:
        arns = {one.arn for one in group.attachments}.union(*(m.registered | m.draining for m in group.members))
        ids = [member.instance_id for member in group.members if member.instance_id]
        return moves.Facts(
            now=self.clock.now(),
            instances={one: self.ec2.state(one) or "terminated" for one in ids},
            health={arn: dict(self.target_groups.health(arn)) for arn in arns},
            missing_targets=frozenset(arn for arn in arns if not self.target_groups.exists(arn)),
        )

    def _carry_out(self, name: str, move: moves.Move) -> None:
        match move:
            case moves.Launch():
                self._launch(name, move)
            case moves.Remove():
                self.world.remove(name)
            case moves.Reattach():
                self.world.change(name, lambda group: _reattach(group, move))
            case moves.Retire():
                self._retire(name, move)
            case _:
                self._carry_out_for_member(name, move)

    def _carry_out_for_member(self, name: str, move: moves.MemberMove) -> None:
        group = self.world.groups.get(name)
        member = group.member(move.key) if group else None
        if group is None or member is None or member.instance_id is None:
            return
        now = self.clock.now()
        match move:
            case moves.Hold():
                self._note_drained(member, "MidLifecycleAction")
                self._change(name, member, lambda old: transitions.hold(group, old, move.transition, now))
            case moves.Proceed():
                self._change(name, member, lambda old: replace(old, state=old.state.replace(":Wait", ":Proceed")))
            case moves.MarkUnhealthy():
                self._change(name, member, lambda old: replace(old, health="Unhealthy", unhealthy_cause=move.reason))
            case moves.Forget():
                self.world.close(member.activity_id, "Successful", now)
                self.world.change(name, lambda old: old.without_member(member.key))
            case moves.Terminate():
                self._note_drained(member, "InProgress")
                self._change(name, member, lambda old: replace(old, ended=now))
                instance_id = member.instance_id
                self.submit(lambda: self.ec2.terminate(instance_id))
            case _:
                self._serve(name, member, member.instance_id, move)

    def _serve(self, name: str, member: Member, instance_id: str, move: moves.TargetMove) -> None:
        """Moves in and out of target groups."""
        now = self.clock.now()
        match move:
            case moves.Enter():
                for arn in move.arns:
                    self.target_groups.register(arn, instance_id)
                self._change(name, member, lambda old: _entered(old, move, now))
                self.world.close(member.activity_id, "Successful", now)
            case moves.Register():
                if not move.exempt:
                    self.target_groups.register(move.arn, instance_id)
                self._change(name, member, lambda old: _added(old, move))
            case moves.Deregister():
                for arn in move.arns:
                    self.target_groups.deregister(arn, instance_id)
                self._change(name, member, lambda old: _removed(old, move))
                if member.leaving:
                    self._note_draining(member)

    def _note_draining(self, member: Member) -> None:
        status = "WaitingForELBConnectionDraining"
        self.world.note(member.activity_id, status, describe=lambda old: old.removesuffix(DRAINING) + DRAINING)

    def _note_drained(self, member: Member, status: str) -> None:
        self.world.note(member.activity_id, status, describe=lambda old: old.removesuffix(DRAINING))

    def _change(self, name: str, member: Member, change: Callable[[Member], Member]) -> None:
        self.world.change_member(name, member.key, change)

    def _retire(self, name: str, move: moves.Retire) -> None:
        with self.world.lock:
            group = self.world.groups.get(name)
            member = group.member(move.key) if group else None
            if group and member:
                transitions.begin_leaving(self.world, group, member, move, self.clock.now())

    def _launch(self, name: str, move: moves.Launch) -> None:
        with self.world.lock:
            group = self.world.groups.get(name)
            if group is None or group.deleting:
                return
            member = transitions.begin_launch(self.world, group, move, self.clock.now())
        self.submit(lambda: self._start(name, member))

    def _start(self, name: str, member: Member) -> None:
        try:
            group = self.world.groups[name]
            facts, instance_id = self._start_instance(group, member)
        except (LaunchError, InvalidTemplate) as refusal:
            self._launch_failed(name, member, getattr(refusal, "message", str(refusal)))
        except Exception as failure:  # a placeholder that nobody ends would count as capacity for ever
            log.exception("Auto Scaling group %s: a launch broke", name)
            self._launch_failed(name, member, f"We encountered an internal error ({failure}).")
        else:
            self._launched(name, member, facts, instance_id)

    def _start_instance(self, group: Group, member: Member) -> tuple[TemplateFacts, str]:
        wanted = [one.arn for one in group.attachments if one.state != "Removing"]
        if not all(self.target_groups.exists(arn) for arn in wanted):
            raise LaunchError("TargetGroupNotFound", TARGETS_MISSING)
        facts = self.ec2.resolve(template_ref(group.settings))
        return facts, self.ec2.launch(request_for(group, member.subnet, facts))

    def _launched(self, name: str, member: Member, facts: TemplateFacts, instance_id: str) -> None:
        self.world.note(member.activity_id, "PreInService", describe=lambda old: f"{old}: {instance_id}", progress=30)
        self._change(name, member, lambda old: replace(old, instance_id=instance_id, template=facts))
        self.world.change(name, lambda old: replace(old, retry=Retry(subnets=old.retry.subnets - {member.subnet.id})))

    def _launch_failed(self, name: str, member: Member, message: str) -> None:
        now = self.clock.now()
        failures = self.world.groups[name].retry.failures
        pause = min(self.pace.retry_cap_seconds, self.pace.retry_seconds * 2.0 ** min(failures, 20))
        transitions.launch_failed(self.world, name, member.key, message, now, now + timedelta(seconds=pause))


def _settled(group: Group, todo: list[moves.Move]) -> Group:
    """The group without the notes on a change of capacity, once that is carried out or its first launches failed."""
    if group.retry.failures:
        return replace(group, change="")
    if len(group.members) != group.sizes.desired or any(isinstance(move, moves.Retire) for move in todo):
        return group
    return replace(group, change="", replacing=0, retry=replace(group.retry, subnets=frozenset()))


def _reattach(group: Group, move: moves.Reattach) -> Group:
    if move.state is None:
        return replace(group, attachments=tuple(one for one in group.attachments if one.arn != move.arn))
    state = move.state
    found = next((one for one in group.attachments if one.arn == move.arn and one.state != "Removing"), None)
    return group.with_attachment(replace(found, state=state)) if found else group


def _entered(member: Member, move: moves.Enter, now: datetime) -> Member:
    registered = member.registered | set(move.arns)
    if member.leaving:  # it was told to leave while it was being registered: then the leaving takes it out again
        return replace(member, registered=registered)
    return replace(
        member, state="InService", in_service_since=now, registered=registered, exempt=move.exempt, waits=None
    )


def _added(member: Member, move: moves.Register) -> Member:
    if move.exempt:
        return replace(member, exempt=member.exempt | {move.arn})
    return replace(member, registered=member.registered | {move.arn}, draining=member.draining - {move.arn})


def _removed(member: Member, move: moves.Deregister) -> Member:
    return replace(member, registered=member.registered - move.arns, draining=member.draining | move.arns)
