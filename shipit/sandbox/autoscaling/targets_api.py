"""Target groups of a group, under their old name and as traffic sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from moto.core.responses import ActionResult, EmptyResult

from shipit.sandbox.autoscaling import errors, validation
from shipit.sandbox.autoscaling.state import Attachment
from shipit.sandbox.autoscaling.wire import Api

MOST_PER_CALL = 10


class TargetsApi(Api):
    def attach_load_balancer_target_groups(self) -> ActionResult:
        return self._attach(self._asked["TargetGroupARNs"], "target-group")

    def attach_traffic_sources(self) -> ActionResult:
        return self._attach([one["Identifier"] for one in self._asked["TrafficSources"]], "traffic-source")

    def detach_load_balancer_target_groups(self) -> ActionResult:
        return self._detach(self._asked["TargetGroupARNs"], "target-group")

    def detach_traffic_sources(self) -> ActionResult:
        return self._detach([one["Identifier"] for one in self._asked["TrafficSources"]], "traffic-source")

    def describe_load_balancer_target_groups(self) -> ActionResult:
        group = self._world.group(self._asked["AutoScalingGroupName"])
        page, token = self._page(group.attachments, usual=100)
        shapes = [{"LoadBalancerTargetGroupARN": one.arn, "State": one.state} for one in page]
        return ActionResult({"LoadBalancerTargetGroups": shapes, "NextToken": token})

    def describe_traffic_sources(self) -> ActionResult:
        group = self._world.group(self._asked["AutoScalingGroupName"])
        kind = self._asked.get("TrafficSourceType")
        page, token = self._page(group.attachments if kind in (None, "elbv2") else ())
        shapes = [
            {"TrafficSource": one.arn, "Identifier": one.arn, "Type": "elbv2", "State": one.state} for one in page
        ]
        return ActionResult({"TrafficSources": shapes, "NextToken": token})

    def describe_load_balancers(self) -> ActionResult:
        """Classic load balancers: the sandbox has none."""
        self._world.group(self._asked["AutoScalingGroupName"])
        return ActionResult({"LoadBalancers": []})

    def _attach(self, arns: Sequence[str], family: str) -> ActionResult:
        group = self._world.writable(self._asked["AutoScalingGroupName"])
        _check_count(arns)
        validation.check_target_groups(self.service.target_groups, arns)
        present = {one.arn for one in group.attachments if one.state != "Removing"}
        kept = tuple(one for one in group.attachments if one.arn in present or one.arn not in arns)
        added = tuple(Attachment(arn, family) for arn in dict.fromkeys(arns) if arn not in present)
        self._world.put(replace(group, attachments=kept + added))
        return EmptyResult()

    def _detach(self, arns: Sequence[str], family: str) -> ActionResult:
        group = self._world.writable(self._asked["AutoScalingGroupName"])
        _check_count(arns)
        attached = {one.arn: one for one in group.attachments if one.family == family and one.state != "Removing"}
        if not set(arns) <= set(attached):
            raise errors.invalid("Trying to remove Target Groups that are not part of the group")
        for arn in arns:
            group = group.with_attachment(replace(attached[arn], state="Removing"))
        self._world.put(group)
        return EmptyResult()


def _check_count(arns: Sequence[str]) -> None:
    if not 1 <= len(arns) <= MOST_PER_CALL:
        raise errors.invalid(f"A call takes 1 to {MOST_PER_CALL} target groups, not {len(arns)}.")
