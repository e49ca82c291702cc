"""Launch templates as EC2 keeps them: client tokens, SourceVersion, deletable versions (field notes C1, J24)."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidLaunchTemplateVersionNotFound
from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateVersion
from moto.ec2.responses.launch_templates import LaunchTemplates
from moto.ec2.utils import convert_tag_spec, parse_user_data

from shipit.sandbox.launches import check_user_data
from shipit.sandbox.tokens import Tokens

_INSIDE = {"instance", "volume", "network-interface", "spot-instances-request"}


class SandboxTemplates(LaunchTemplates):  # type: ignore[misc]
    """The actions that moto leaves out or gets wrong."""

    tokens: Tokens

    def create_launch_template(self) -> ActionResult:
        self.error_on_dryrun()
        template = self.tokens.once("CreateLaunchTemplate", self.params, self._create)
        return ActionResult({"LaunchTemplate": self._described(template)})

    def create_launch_template_version(self) -> ActionResult:
        self.error_on_dryrun()
        version = self.tokens.once("CreateLaunchTemplateVersion", self.params, self._create_version)
        return ActionResult({"LaunchTemplateVersion": self._described_version(version)})

    def describe_launch_templates(self) -> ActionResult:
        """Up to EC2's own page of 200; moto shows 15 and never says that there are more."""
        self.params.setdefault("MaxResults", 200)
        return super().describe_launch_templates()

    def delete_launch_template(self) -> ActionResult:
        """A name that does not exist is refused as such; moto says that the parameter is missing."""
        self._named_template()
        return super().delete_launch_template()

    def delete_launch_template_versions(self) -> ActionResult:
        self.error_on_dryrun()
        template = self._named_template()
        deleted, kept = [], []
        for number in self._get_param("Versions", []):
            refusal = _why_not_deleted(template, str(number))
            named = {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "VersionNumber": int(number)}
            if refusal is None:
                template.versions[int(number) - 1].deleted = True
                deleted.append(named)
            else:
                kept.append(named | {"ResponseError": {"Code": refusal[0], "Message": refusal[1]}})
        return ActionResult(
            {"SuccessfullyDeletedLaunchTemplateVersions": deleted, "UnsuccessfullyDeletedLaunchTemplateVersions": kept}
        )

    def describe_launch_template_versions(self) -> ActionResult:
        found = self.ec2_backend.describe_launch_template_versions(
            template_name=self._get_param("LaunchTemplateName"),
            template_id=self._get_param("LaunchTemplateId"),
            versions=self._get_param("Versions", []),
            min_version=self._get_int_param("MinVersion"),
            max_version=self._get_int_param("MaxVersion"),
            max_results=self._get_int_param("MaxResults", 200),
        )
        shown = [self._described_version(version) for _, version in found if not is_deleted(version)]
        return ActionResult({"LaunchTemplateVersions": shown})

    def _create(self) -> LaunchTemplate:
        specification = self._parse_tag_specification("launch-template")
        return self.ec2_backend.create_launch_template(
            self._get_param("LaunchTemplateName"),
            self._get_param("VersionDescription"),
            self._sent_data(),
            specification,
        )

    def _create_version(self) -> LaunchTemplateVersion:
        template = self._named_template()
        data = self._sent_data()
        source = self._get_param("SourceVersion")
        if source:
            data = dict(template.get_version(source).data) | {
                key: value for key, value in data.items() if value is not None
            }
        return template.create_version(data, self._get_param("VersionDescription"))

    def _sent_data(self) -> dict[str, Any]:
        """The data of the request, user data in moto's own type (its model asserts that)."""
        data = dict(self._get_param("LaunchTemplateData", {}))
        if "UserData" in data:
            check_user_data(data["UserData"])
            data["UserData"] = parse_user_data(data["UserData"])
        foreign = set(convert_tag_spec(data.get("TagSpecifications", []))) - _INSIDE
        if foreign:
            raise EC2ClientError("InvalidParameterValue", f"'{foreign.pop()}' is not a valid taggable resource type.")
        return data

    def _named_template(self) -> LaunchTemplate:
        name, template_id = self._get_param("LaunchTemplateName"), self._get_param("LaunchTemplateId")
        if not name and not template_id:
            raise EC2ClientError("MissingParameter", "You must specify a launch template ID or a launch template name.")
        backend = self.ec2_backend
        return backend.get_launch_template(template_id) if template_id else backend.get_launch_template_by_name(name)

    def _described(self, template: LaunchTemplate) -> dict[str, Any]:
        return {
            "CreateTime": template.create_time,
            "CreatedBy": f"arn:{self.partition}:iam::{self.current_account}:root",
            "DefaultVersionNumber": template.default_version_number,
            "LatestVersionNumber": template.latest_version_number,
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "Tags": template.tags,
        }

    def _described_version(self, version: LaunchTemplateVersion) -> dict[str, Any]:
        template = version.template
        return {
            "CreateTime": version.create_time,
            "CreatedBy": f"arn:{self.partition}:iam::{self.current_account}:root",
            "DefaultVersion": template.is_default(version),
            "LaunchTemplateData": version.data,
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "VersionDescription": version.description,
            "VersionNumber": version.number,
        }


def is_deleted(version: LaunchTemplateVersion) -> bool:
    return bool(getattr(version, "deleted", False))


def install() -> None:
    """Teaches moto's templates that a version may be gone: its numbers are positions in a list, so deleting must
    leave a gap.
    """
    original = LaunchTemplate.get_version
    LaunchTemplate.latest_version = _latest

    def get_version(template: LaunchTemplate, number: Any) -> LaunchTemplateVersion:
        if str(number).lower() == "$latest":
            return _latest(template)
        version = None if str(number) == "0" else original(template, number)
        if version is None or is_deleted(version):
            raise InvalidLaunchTemplateVersionNotFound(template_id=template.id, version=number)
        return version

    LaunchTemplate.get_version = get_version


def _latest(template: LaunchTemplate) -> LaunchTemplateVersion:
    return next(version for version in reversed(template.versions) if not is_deleted(version))


def _why_not_deleted(template: LaunchTemplate, number: str) -> tuple[str, str] | None:
    if (
        not number.isdigit()
        or not 0 < int(number) <= len(template.versions)
        or is_deleted(template.versions[int(number) - 1])
    ):
        return "launchTemplateVersionDoesNotExist", f"The version '{number}' does not exist."
    if int(number) == template.default_version_number:
        return "launchTemplateVersionIsDefault", "The default version cannot be deleted."
    return None
