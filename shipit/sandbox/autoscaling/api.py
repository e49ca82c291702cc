"""The whole service on the wire, in moto's place."""

from __future__ import annotations

from moto.autoscaling import urls
from moto.core.errors import COMMON_ERROR_CODES

from shipit.sandbox.autoscaling.describe_api import DescribeApi
from shipit.sandbox.autoscaling.groups_api import GroupsApi
from shipit.sandbox.autoscaling.hooks_api import HooksApi
from shipit.sandbox.autoscaling.instances_api import InstancesApi
from shipit.sandbox.autoscaling.limits_api import LimitsApi
from shipit.sandbox.autoscaling.policies_api import PoliciesApi
from shipit.sandbox.autoscaling.schedules_api import SchedulesApi
from shipit.sandbox.autoscaling.service import AutoScaling
from shipit.sandbox.autoscaling.tags_api import TagsApi
from shipit.sandbox.autoscaling.targets_api import TargetsApi


class Responses(
    GroupsApi,
    DescribeApi,
    InstancesApi,
    TargetsApi,
    HooksApi,
    SchedulesApi,
    PoliciesApi,
    TagsApi,
    LimitsApi,
):
    """Every action that the sandbox has; what is missing here answers InvalidAction."""


def install(service: AutoScaling) -> None:
    """Lets moto answer the Auto Scaling API from `service`; the last one installed answers. Call it before serving."""
    Responses.service = service
    if "InvalidAction" not in COMMON_ERROR_CODES:  # AWS has it for every Query API; moto only warns about it
        COMMON_ERROR_CODES.append("InvalidAction")
    urls.url_paths["{0}/$"] = Responses.dispatch
