"""What a group launches: its template, as the group names it, and the request for one instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shipit.sandbox.autoscaling.seams import LaunchRequest, TemplateFacts, TemplateRef
from shipit.sandbox.autoscaling.state import Group, Subnet

GROUP_TAG = "aws:autoscaling:groupName"


def specification(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """The launch template specification of a group, directly or in its mixed instances policy; empty if it has none."""
    mixed = settings.get("MixedInstancesPolicy") or {}
    nested = (mixed.get("LaunchTemplate") or {}).get("LaunchTemplateSpecification")
    return settings.get("LaunchTemplate") or nested or {}


def template_ref(settings: Mapping[str, Any]) -> TemplateRef:
    """By id when it has one: names can be taken over by another template."""
    found = specification(settings)
    template_id = found.get("LaunchTemplateId")
    return TemplateRef(
        id=template_id,
        name=None if template_id else found.get("LaunchTemplateName"),
        version=str(found.get("Version") or "$Default"),
    )


def request_for(group: Group, subnet: Subnet, facts: TemplateFacts) -> LaunchRequest:
    tags = {tag.key: tag.value for tag in group.tags if tag.propagate}
    return LaunchRequest(
        group_name=group.name,
        template=TemplateRef(facts.id, None, str(facts.version_number)),
        subnet_id=subnet.id,
        tags={**tags, GROUP_TAG: group.name},
        instance_type=override_type(group.settings),
    )


def override_type(settings: Mapping[str, Any]) -> str | None:
    """The first instance type of a mixed instances policy's overrides: the sandbox has no markets to choose among."""
    mixed = settings.get("MixedInstancesPolicy") or {}
    overrides = (mixed.get("LaunchTemplate") or {}).get("Overrides") or []
    return next((str(one["InstanceType"]) for one in overrides if one.get("InstanceType")), None)
