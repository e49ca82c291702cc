"""Answers that never change in the sandbox: limits, types, and features that it has none of."""

from __future__ import annotations

from moto.core.responses import ActionResult

from shipit.sandbox.autoscaling.instances_api import METRICS
from shipit.sandbox.autoscaling.policies_api import NOTIFICATION_TYPES
from shipit.sandbox.autoscaling.validation import PROCESSES, TERMINATION_POLICIES
from shipit.sandbox.autoscaling.wire import Api


class LimitsApi(Api):
    def describe_account_limits(self) -> ActionResult:
        return ActionResult(
            {
                "MaxNumberOfAutoScalingGroups": 500,
                "MaxNumberOfLaunchConfigurations": 200,
                "NumberOfAutoScalingGroups": len(self._world.groups),
                "NumberOfLaunchConfigurations": 0,
            }
        )

    def describe_instance_refreshes(self) -> ActionResult:
        self._world.group(self._asked["AutoScalingGroupName"])
        return ActionResult({"InstanceRefreshes": []})

    def describe_warm_pool(self) -> ActionResult:
        self._world.group(self._asked["AutoScalingGroupName"])
        return ActionResult({"Instances": []})

    def describe_launch_configurations(self) -> ActionResult:
        return ActionResult({"LaunchConfigurations": []})

    def describe_scaling_process_types(self) -> ActionResult:
        return ActionResult({"Processes": [{"ProcessName": name} for name in PROCESSES]})

    def describe_termination_policy_types(self) -> ActionResult:
        return ActionResult({"TerminationPolicyTypes": list(TERMINATION_POLICIES)})

    def describe_adjustment_types(self) -> ActionResult:
        types = ("ChangeInCapacity", "ExactCapacity", "PercentChangeInCapacity")
        return ActionResult({"AdjustmentTypes": [{"AdjustmentType": name} for name in types]})

    def describe_auto_scaling_notification_types(self) -> ActionResult:
        return ActionResult({"AutoScalingNotificationTypes": list(NOTIFICATION_TYPES)})

    def describe_metric_collection_types(self) -> ActionResult:
        metrics = [{"Metric": name} for name in METRICS]
        return ActionResult({"Metrics": metrics, "Granularities": [{"Granularity": "1Minute"}]})
