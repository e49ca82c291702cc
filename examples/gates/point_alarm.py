#!/usr/bin/env python3
"""Points an alarm of one target group at that of the fleet SHIPIT_FLEET, and leaves all else as it is, whom it notifies as well.

`point_alarm.py NAME`: run by the hook before_traffic; and by on_failure, with SHIPIT_FLEET="$SHIPIT_OLD_FLEET", to point it back.
Needs boto3, cloudwatch:DescribeAlarms, cloudwatch:PutMetricAlarm and elasticloadbalancing:DescribeTargetGroups.
"""

import os
import sys

import boto3

# What DescribeAlarms shows and PutMetricAlarm does not take.
SHOWN_ALONE = ("AlarmArn", "AlarmConfigurationUpdatedTimestamp", "EvaluationState")


def main(name: str) -> None:
    """PutMetricAlarm replaces the whole alarm, so all of it is sent back. Each fleet has a target group with the fleet's name."""
    cloudwatch = boto3.client("cloudwatch")
    found = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    if not found:
        sys.exit(f"there is no metric alarm {name}: make it once, on any target group")
    grouped = [one for one in found[0].get("Dimensions", ()) if one["Name"] == "TargetGroup"]
    if not grouped:
        sys.exit(f"alarm {name} is not on one metric of a target group")
    (group,) = boto3.client("elbv2").describe_target_groups(Names=[os.environ["SHIPIT_FLEET"]])["TargetGroups"]
    alarm = {key: value for key, value in found[0].items() if key not in SHOWN_ALONE and not key.startswith("State")}
    grouped[0]["Value"] = group["TargetGroupArn"].rpartition(":")[2]
    cloudwatch.put_metric_alarm(**alarm)


if __name__ == "__main__":
    main(sys.argv[1])
