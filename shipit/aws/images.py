"""AMIs: ours by tag, name and id; the one to build on; tagged, waited for, discarded. `ports.BakeImages`.

Field notes C2: tags are per account and region, states beyond `available` carry a reason, a new id may be invisible at
first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from shipit import naming
from shipit.aws.errors import code_of, translated
from shipit.aws.session import Session
from shipit.errors import BakeError, CloudError, NotFound, UsageError
from shipit.model import Image, Mood, Verdict, Version
from shipit.ports import Clock, SourceQuery
from shipit.wait import Pace, until

_ALIVE = ("available", "pending")
_NEVER = ("failed", "error", "invalid", "deregistered")
_PACE = Pace(first_seconds=0.5, growth=1.5, longest_seconds=15.0)


class AwsImages:
    """The AMIs of one app in one account and region."""

    def __init__(self, session: Session, app: str, clock: Clock) -> None:
        self._session = session
        self._app = app
        self._clock = clock

    def by_fingerprint(self, fingerprint: str) -> Image | None:
        """The available image, else the pending one."""
        tags = {naming.APP: self._app, naming.FINGERPRINT: fingerprint}
        found = self._ours([*_tagged(tags), _filter("state", *_ALIVE)])
        return next(iter(sorted(found, key=lambda image: _ALIVE.index(image.state))), None)

    def by_name(self, name: str) -> Image | None:
        """Our own AMI of that name, in whatever state."""
        return next(iter(self._ours([_filter("name", name)])), None)

    def by_id(self, image_id: str) -> Image | None:
        """Any AMI, ours or not; None when it does not exist (any more)."""
        record = self._record(image_id)
        return image_of(record) if record else None

    def all(self) -> Sequence[Image]:
        """This app's images, newest first."""
        return self._ours(_tagged({naming.APP: self._app}))

    def source(self, query: SourceQuery) -> str:
        """The fixed id, or the newest available AMI of that name. Raises `UsageError` when there is none."""
        if query.id:
            return query.id
        filters = [
            _filter("name", query.name or ""),
            _filter("architecture", query.architecture),
            _filter("state", "available"),
        ]
        found = self._describe("looking for the source image", Owners=list(query.owners), Filters=filters)
        if not found:
            why = f"owners {', '.join(query.owners)}, {query.architecture}, region {self._session.region}"
            raise UsageError(f"no AMI is called {query.name}", why, "correct bake.source_image in shipit.yml")
        return str(max(found, key=lambda record: (record.get("CreationDate", ""), record["ImageId"]))["ImageId"])

    def tag(self, image_id: str, tags: Mapping[str, str]) -> None:
        """Tags the image and its snapshots with what is missing; who baked it first stays who baked it."""
        record = self._record(image_id)
        if record is None:
            raise NotFound(f"image {image_id} has vanished before it could be tagged", "", "shipit bake")
        present = tags_of(record)
        if tags.keys() <= present.keys():
            return
        wanted = [{"Key": key, "Value": present.get(key, value)} for key, value in tags.items()]
        with translated(f"tagging image {image_id}"):
            self._ec2.create_tags(Resources=[image_id, *snapshots_of(record)], Tags=wanted)

    def settle(self, image_id: str, patience_seconds: float, told: Callable[[str], None]) -> Image:
        """The image once it is available. Raises `BakeError` with AWS's reason when it never is, or takes too long."""
        deadline = self._clock.now() + timedelta(seconds=patience_seconds)
        verdict = until(lambda: self._judge(image_id, deadline), self._clock, _PACE, told)
        image = self.by_id(image_id) if verdict.good else None
        if image is None:
            raise BakeError(
                f"image {image_id} does not become available", verdict.reason, "shipit bake (it looks again)"
            )
        return image

    def discard(self, image_id: str) -> None:
        """Deregisters an image that failed, and deletes its snapshots. Raises `CloudError` for one that is in order."""
        record = self._record(image_id)
        if record is None:
            return
        if record["State"] not in _NEVER:
            raise CloudError(f"image {image_id} is {record['State']} and is kept", "only failed images are discarded")
        with translated(f"deregistering image {image_id}"):
            self._ec2.deregister_image(ImageId=image_id)
            for snapshot in snapshots_of(record):
                self._ec2.delete_snapshot(SnapshotId=snapshot)

    def _judge(self, image_id: str, deadline: datetime) -> Verdict:
        record = self._record(image_id)
        state = record["State"] if record else "not visible yet"
        reason = f"image {image_id} is {state}"
        if state == "available":
            return Verdict(Mood.GOOD, reason)
        if record and state in _NEVER:
            return Verdict(Mood.BAD, f"{reason}: {record.get('StateReason', {}).get('Message', 'AWS gives no reason')}")
        late = self._clock.now() >= deadline
        return Verdict(Mood.BAD if late else Mood.NOT_YET, f"{reason}, and time is up" if late else reason)

    def _ours(self, filters: Sequence[Mapping[str, Any]]) -> list[Image]:
        found = self._describe("looking for images", Owners=["self"], Filters=filters)
        return [
            image_of(record)
            for record in sorted(found, key=lambda record: record.get("CreationDate", ""), reverse=True)
        ]

    def _record(self, image_id: str) -> Mapping[str, Any] | None:
        try:
            return next(iter(self._describe(f"looking at image {image_id}", ImageIds=[image_id])), None)
        except CloudError as error:
            if code_of(error) in ("InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"):
                return None
            raise

    def _describe(self, doing: str, **request: Any) -> list[Mapping[str, Any]]:
        with translated(doing):
            pages: Iterable[Mapping[str, Any]] = self._ec2.get_paginator("describe_images").paginate(**request)
            return [record for page in pages for record in page["Images"]]

    @property
    def _ec2(self) -> Any:
        return self._session.client("ec2")


def image_of(record: Mapping[str, Any]) -> Image:
    tags = tags_of(record)
    version = Version(tags.get(naming.VERSION) or record.get("Name") or record["ImageId"], tags.get(naming.COMMIT, ""))
    created = record.get("CreationDate")
    at = datetime.fromisoformat(created.replace("Z", "+00:00")) if created else None
    return Image(record["ImageId"], version, tags.get(naming.FINGERPRINT, ""), record["State"], at)


def tags_of(record: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in record.get("Tags") or ()}


def snapshots_of(record: Mapping[str, Any]) -> list[str]:
    disks = (mapping.get("Ebs", {}) for mapping in record.get("BlockDeviceMappings") or ())
    return [disk["SnapshotId"] for disk in disks if disk.get("SnapshotId")]


def _tagged(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    return [_filter(f"tag:{key}", value) for key, value in tags.items()]


def _filter(name: str, *values: str) -> dict[str, Any]:
    return {"Name": name, "Values": list(values)}
