"""An Auto Scaling group as AWS describes it, read as a fleet: its state lies in its own tags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from shipit import naming
from shipit.aws.errors import code_of, message_of
from shipit.errors import CloudError, Refused
from shipit.model import Exposure, Fleet, Instance, Pin, Version


def fleet_of(group: Mapping[str, Any]) -> Fleet:
    """The fleet. Raises `Refused` for a tag of ours that somebody has made unreadable."""
    name = group["AutoScalingGroupName"]
    try:
        return _fleet(name, group, tags_of(group))
    except (ValueError, KeyError, TypeError) as error:
        what = f"a tag of Auto Scaling group {name} cannot be read"
        raise Refused(what, f"{type(error).__name__}: {error}", f"mend the {naming.PREFIX}* tags of {name}") from error


def joined(instance: Instance, health: Mapping[str, tuple[Any, str, str]]) -> Instance:
    """The instance with what its target group says of it."""
    if instance.id not in health:
        return instance
    state, reason, description = health[instance.id]
    return replace(instance, target=state, reason=reason, description=description)


def tag_of(name: str, key: str, value: str) -> dict[str, object]:
    """A tag in the shape that CreateOrUpdateTags takes."""
    kind = "auto-scaling-group"
    return {"ResourceId": name, "ResourceType": kind, "Key": key, "Value": value, "PropagateAtLaunch": False}


def tags_of(group: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in group.get("Tags", [])}


def pin_of(tags: Mapping[str, str]) -> Pin | None:
    if naming.PIN not in tags:
        return None
    values = json.loads(tags[naming.PIN])
    return Pin(int(values["min"]), tuple(values.get("suspended", ())))


def held_sizes(tags: Mapping[str, str]) -> set[int]:
    """What MinSize may be while it is pinned, if nobody else has changed it: what it was, is held at, or was held at."""
    values = json.loads(tags[naming.PIN])
    return {int(values[key]) for key in ("min", "held", "was") if key in values}


def is_gone(error: CloudError) -> bool:
    """Auto Scaling says `ValidationError` for everything; here its text is the only way to tell (field notes B7)."""
    text = message_of(error.__cause__) if error.__cause__ else error.why
    return code_of(error) == "ValidationError" and ("not found" in text or "pending delete" in text)


def _fleet(name: str, group: Mapping[str, Any], tags: Mapping[str, str]) -> Fleet:
    until, kept = tags.get(naming.PARKED_UNTIL), tags.get(naming.KEPT_UNTIL)
    return Fleet(
        name=name,
        version=Version(tags.get(naming.VERSION, name), tags.get(naming.COMMIT, "")),
        image_id=tags.get(naming.IMAGE, ""),
        launch_digest=tags.get(naming.DIGEST, ""),
        min_size=group["MinSize"],
        max_size=group["MaxSize"],
        desired=group["DesiredCapacity"],
        instances=tuple(_instance(instance, name) for instance in group.get("Instances", [])),
        whole=bool(group.get("TargetGroupARNs")),
        leaving=bool(group.get("Status")) or naming.LEAVING in tags,
        exposure=Exposure(tags.get(naming.EXPOSURE, "none")),
        parked_until=datetime.fromisoformat(until) if until else None,
        pin=pin_of(tags),
        kept_until=datetime.fromisoformat(kept) if kept else None,
        created_at=group.get("CreatedTime"),
    )


def _instance(described: Mapping[str, Any], fleet: str) -> Instance:
    template = described.get("LaunchTemplate", {})
    return Instance(
        id=described["InstanceId"],
        lifecycle=described["LifecycleState"],
        group_healthy=described.get("HealthStatus", "Healthy").lower() == "healthy",
        ours=template.get("LaunchTemplateName") == fleet,
    )
