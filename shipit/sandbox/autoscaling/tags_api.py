"""Tags of groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from shipit.sandbox.autoscaling import errors, validation
from shipit.sandbox.autoscaling.describe_api import tag_shapes
from shipit.sandbox.autoscaling.wire import Api, matches

FILTERS = {
    "auto-scaling-group": "ResourceId",
    "key": "Key",
    "value": "Value",
    "propagate-at-launch": "PropagateAtLaunch",
}


class TagsApi(Api):
    def create_or_update_tags(self) -> ActionResult:
        asked = [(one.get("ResourceId") or "", validation.tag(one)) for one in self._asked["Tags"]]
        for name, _ in asked:
            self._world.writable(name)
        for name, tag in asked:
            group = self._world.group(name)
            tags = {one.key: one for one in group.tags} | {tag.key: tag}
            self._world.put(replace(group, tags=tuple(tags.values())))
        return EmptyResult()

    def delete_tags(self) -> ActionResult:
        for one in self._asked["Tags"]:
            group = self._world.writable(one.get("ResourceId") or "")
            left = tuple(tag for tag in group.tags if tag.key != one["Key"])
            self._world.put(replace(group, tags=left))
        return EmptyResult()

    def describe_tags(self) -> ActionResult:
        filters = self._asked.get("Filters")
        shapes = [shape for group in self._world.groups.values() for shape in tag_shapes(group)]
        found = [one for one in shapes if matches(filters, partial(_has, one))]
        page, token = self._page(found)
        return ActionResult({"Tags": page, "NextToken": token})


def _has(shape: Mapping[str, Any], key: str, values: set[str]) -> bool:
    if key not in FILTERS:
        raise errors.invalid(f"Filter type {key} is not correct. Allowed Filter types are: {' '.join(FILTERS)}")
    value = shape[FILTERS[key]]
    return (str(value).lower() if isinstance(value, bool) else value) in values
