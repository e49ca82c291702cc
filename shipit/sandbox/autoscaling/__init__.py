"""EC2 Auto Scaling as a reconciling loop: calls are answered at once, instances come and go afterwards.

moto's own is synchronous and differs from AWS in nearly every way that a deployer meets (field notes J, rows 3-7).
"""

from shipit.sandbox.autoscaling.api import install
from shipit.sandbox.autoscaling.reconcile import Pace
from shipit.sandbox.autoscaling.service import AutoScaling

__all__ = ["AutoScaling", "Pace", "install"]
