"""Saves pollers a round: whoever asks for a named instance or image that changes state this very moment is answered
when it did.

boto3's waiters sleep 15 s between two looks, Packer 1 s at least; machines here take a tenth of a second. Only named
ones are waited for, and never for long: a list of all, and a look at something slow, are answered at once.
"""

from __future__ import annotations

import re
import time

from shipit.sandbox.api import Call
from shipit.sandbox.ec2 import Ec2

_LONGEST_SECONDS = 1.0
_STEP_SECONDS = 0.005
_PASSING = frozenset({"pending", "stopping", "shutting-down"})
_NAMED = {
    "DescribeInstances": re.compile(rb"(?:^|&)InstanceId\.\d+=(i-\w+)"),
    "DescribeImages": re.compile(rb"(?:^|&)ImageId\.\d+=(ami-\w+)"),
}


def wait_for_named(ec2: Ec2, call: Call) -> None:
    """Returns when nothing that the call names is between two states, or after a second. To be called without EC2's
    lock.
    """
    names = _NAMED[call.action].findall(call.request.body) if call.service == "ec2" and call.action in _NAMED else []
    deadline = time.monotonic() + _LONGEST_SECONDS
    while any(_is_passing(ec2, name.decode()) for name in names) and time.monotonic() < deadline:
        time.sleep(_STEP_SECONDS)


def _is_passing(ec2: Ec2, name: str) -> bool:
    record = ec2.instances.find(name) or ec2.backend.amis.get(name)
    return record is not None and record.state in _PASSING
