#!/usr/bin/env python3
"""Points the alarm shop-5xx at the target group that arrives: run by the hook before_traffic. Needs boto3 and cloudwatch:PutMetricAlarm.

`point_alarm.py NAME COUNT`: so many answers with 5xx in two periods of ten seconds, one after the other.
"""

import os
import sys

import boto3


def main(name: str, count: float) -> None:
    """Each fleet has a target group of its own, with the fleet's name; an alarm knows only one."""
    (group,) = boto3.client("elbv2").describe_target_groups(Names=[os.environ["SHIPIT_FLEET"]])["TargetGroups"]
    balancer = group["LoadBalancerArns"][0].split(":loadbalancer/")[1]
    dimensions = {"LoadBalancer": balancer, "TargetGroup": group["TargetGroupArn"].rpartition(":")[2]}
    boto3.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/ApplicationELB",
        MetricName="HTTPCode_Target_5XX_Count",
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        Statistic="Sum",
        Period=10,
        EvaluationPeriods=2,
        Threshold=count,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
