"""Makes a fleet: launch template, target group, Auto Scaling group, in this order (field notes I1).

Each part carries all tags from its creation on, so that a launch that was cut short is found and finished, or removed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shipit import naming
from shipit.aws.errors import code_of, message_of, translated
from shipit.aws.groups import TargetGroups
from shipit.aws.session import Session
from shipit.errors import CloudError, NotFound, Refused, UsageError
from shipit.model import Fleet, Version
from shipit.ports import Clock, Launch
from shipit.wait import Pace, retried

if TYPE_CHECKING:
    from shipit.settings import Settings

TEMPLATE_PATIENCE = 8
_VISIBLE_ATTEMPTS = 10


class Launcher:
    """Makes and removes the parts of fleets. `user_data` renders what an instance runs at first boot."""

    def __init__(
        self,
        session: Session,
        groups: TargetGroups,
        settings: Settings,
        env: str,
        user_data: Callable[[Launch], str],
        clock: Clock,
    ) -> None:
        self._session = session
        self._groups = groups
        self._settings = settings
        self._env = env
        self._user_data = user_data
        self._clock = clock

    @property
    def _ec2(self) -> Any:
        return self._session.client("ec2")

    @property
    def _asg(self) -> Any:
        return self._session.client("autoscaling")

    def launch(self, launch: Launch) -> None:
        """Makes whatever of the fleet is missing. Raises `UsageError` for what only shipit.yml can cure."""
        self._check_settings()
        self._create_template(launch)
        group_arn = self._groups.create(launch.name, self._tags(launch))
        retried(
            lambda: self._create_group(launch, group_arn),
            self._clock,
            _template_not_visible_yet,
            TEMPLATE_PATIENCE,
            Pace(0.5, 2, 15),
        )

    def part_of(self, name: str) -> Fleet | None:
        """A fleet that has no Auto Scaling group (yet): what a launch that was cut short has left."""
        if self._find_template(name) or self._groups.find(name):
            return Fleet(name, Version(name), "", whole=False)
        return None

    def templates(self, older_than: datetime) -> list[str]:
        """Names of our launch templates that were made before that time. Each fleet's parts begin with one."""
        filters = [
            {"Name": f"tag:{naming.APP}", "Values": [self._settings.app]},
            {"Name": f"tag:{naming.ENV}", "Values": [self._env]},
        ]
        with translated("listing the launch templates"):
            pages = self._ec2.get_paginator("describe_launch_templates").paginate(Filters=filters)
            found = [template for page in pages for template in page["LaunchTemplates"]]
        return [t["LaunchTemplateName"] for t in found if t["CreateTime"] < older_than]

    def delete_template(self, name: str) -> None:
        """Deletes the launch template with all its versions; one that is gone is fine, one of somebody else is left."""
        if not self._find_template(name):
            return
        try:
            with translated(f"deleting launch template {name}"):
                self._ec2.delete_launch_template(LaunchTemplateName=name)
        except NotFound:
            pass

    def _check_settings(self) -> None:
        if not self._settings.fleet.subnets:
            raise UsageError(
                "fleet.subnets is empty",
                "instances need a subnet to start in",
                "fleet: {subnets: [subnet-…, subnet-…]}",
            )

    def _tags(self, launch: Launch) -> list[dict[str, str]]:
        values = {
            "Name": launch.name,
            naming.APP: self._settings.app,
            naming.ENV: self._env,
            naming.FLEET: launch.name,
            naming.VERSION: naming.tag_value(launch.version.name),
            naming.COMMIT: launch.version.commit,
            naming.IMAGE: launch.image_id,
            naming.DIGEST: launch.digest,
        }
        return [{"Key": key, "Value": value} for key, value in values.items() if value]

    def _create_template(self, launch: Launch) -> None:
        tags = self._tags(launch)
        try:
            with translated(f"creating launch template {launch.name}"):
                answer = self._ec2.create_launch_template(
                    LaunchTemplateName=launch.name,
                    ClientToken=launch.name,
                    LaunchTemplateData=self._template_data(launch, tags),
                    TagSpecifications=[{"ResourceType": "launch-template", "Tags": tags}],
                )
        except CloudError as error:
            if code_of(error) != "InvalidLaunchTemplateName.AlreadyExistsException":
                raise
            self._adopt_template(launch.name)
        else:
            for problem in answer.get("Warning", {}).get("Errors", []):
                raise UsageError(
                    f"AWS warns about the launch template: {problem['Code']}", problem["Message"], "edit shipit.yml"
                )

    def _template_data(self, launch: Launch, tags: list[dict[str, str]]) -> dict[str, Any]:
        fleet = self._settings.fleet
        text = self._user_data(launch)
        data: dict[str, Any] = {
            "ImageId": launch.image_id,
            "InstanceType": fleet.instance_type,
            "UserData": base64.b64encode(text.encode()).decode(),
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled"},
            "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
        }
        if fleet.security_groups:
            data["SecurityGroupIds"] = list(fleet.security_groups)
        if fleet.instance_profile:
            data["IamInstanceProfile"] = {"Name": fleet.instance_profile}
        return data

    def _adopt_template(self, name: str) -> None:
        """A retried call met its own success; anybody else's template of that name is refused."""
        if not self._find_template(name):
            app = self._settings.app
            raise Refused(
                f"launch template {name} exists and is not {app}'s", "its tags say so", "run the command again"
            )

    def _find_template(self, name: str) -> bool:
        """Whether there is a template of that name that tags prove to be ours."""
        try:
            with translated(f"looking for launch template {name}"):
                found = self._ec2.describe_launch_templates(LaunchTemplateNames=[name])["LaunchTemplates"]
        except NotFound:
            return False
        tags = {tag["Key"]: tag["Value"] for template in found for tag in template.get("Tags", [])}
        return (tags.get(naming.APP), tags.get(naming.ENV)) == (self._settings.app, self._env)

    def _create_group(self, launch: Launch, group_arn: str) -> None:
        settings = self._settings.fleet
        low = settings.min_size if settings.min_size is not None else settings.size
        # Born pinned: it must not shrink before it serves. Unpinning gives it the configured minimum.
        pin = json.dumps({"min": low, "held": launch.size, "suspended": []})
        marks = [{"Key": naming.PIN, "Value": pin}, {"Key": naming.EXPOSURE, "Value": "none"}]
        tags = [{**tag, "PropagateAtLaunch": True} for tag in self._tags(launch)]
        tags += [{**mark, "PropagateAtLaunch": False} for mark in marks]
        try:
            with translated(f"creating Auto Scaling group {launch.name}"):
                self._asg.create_auto_scaling_group(
                    AutoScalingGroupName=launch.name,
                    LaunchTemplate={"LaunchTemplateName": launch.name, "Version": "1"},
                    MinSize=launch.size,
                    DesiredCapacity=launch.size,
                    MaxSize=max(launch.size, settings.max_size or 2 * settings.size),
                    VPCZoneIdentifier=",".join(settings.subnets),
                    TargetGroupARNs=[group_arn],
                    HealthCheckType="ELB",
                    HealthCheckGracePeriod=settings.grace_seconds,
                    Tags=tags,
                )
        except CloudError as error:
            if code_of(error) != "AlreadyExists":
                raise
            self._adopt_group(launch, group_arn)

    def _adopt_group(self, launch: Launch, group_arn: str) -> None:
        """No token protects this call (field notes B8): what exists is compared with what was wanted."""
        found = retried(
            lambda: self._described(launch.name),
            self._clock,
            lambda error: isinstance(error, NotFound),
            _VISIBLE_ATTEMPTS,
            Pace(0.5, 1.5, 5),
        )
        if found.get("Status") or found.get("TargetGroupARNs") != [group_arn]:
            raise Refused(
                f"Auto Scaling group {launch.name} exists and is not what this release wants",
                f"its target groups are {found.get('TargetGroupARNs')}",
                "run the command again: another name will be chosen",
            )

    def _described(self, name: str) -> dict[str, Any]:
        """Raises `NotFound` also for a group that was made a moment ago and cannot be seen yet (field notes B8)."""
        with translated(f"reading Auto Scaling group {name}"):
            found = self._asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
        if not found:
            raise NotFound(f"Auto Scaling group {name} exists and cannot be seen", "", "run the command again")
        return dict(found[0])


def _template_not_visible_yet(error: BaseException) -> bool:
    """A template or instance profile made a moment ago may not be visible (field notes B1); the code says nothing of it."""
    if not isinstance(error, CloudError) or code_of(error) != "ValidationError":
        return False
    text = message_of(error.__cause__) if error.__cause__ else error.why
    return "launch template" in text and (
        "not found" in text or "not exist" in text or "Invalid IAM Instance Profile" in text
    )
