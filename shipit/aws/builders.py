"""Builder instances and what comes with them: found by mark, and removed when nobody works on them. `ports.Builders`.

Only what carries a mark is touched: the tag `shipit:bake` on instances and security groups, the name of key pairs
(Packer 1.6 does not tag those), and the temporary group of a marked instance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from shipit import naming
from shipit.aws.child import child_credentials, child_endpoint
from shipit.aws.errors import code_of, translated
from shipit.aws.session import Session
from shipit.errors import CloudError
from shipit.found import Kind, Marked

_WORKING = ("pending", "running")
_EXISTING = (*_WORKING, "stopping", "stopped")
_TEMPORARY_GROUP = "packer_"
_KEY_PREFIX = "shipit-bake:"
_GONE = frozenset({"InvalidGroup.NotFound", "InvalidInstanceID.NotFound", "InvalidKeyPair.NotFound"})
_IN_USE = frozenset({"DependencyViolation", "InvalidGroup.InUse"})
Ours = Callable[[str], bool]


class AwsBuilders:
    """The builders of one account and region."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def endpoint(self) -> str | None:
        return child_endpoint(self._session)

    def region(self) -> str:
        return self._session.region

    def credentials(self) -> Mapping[str, str]:
        return child_credentials(self._session)

    def marks(self, fingerprint: str) -> Sequence[str]:
        """Marks of the running builders of the image with this fingerprint."""
        filters = [
            _filter(f"tag:{naming.FINGERPRINT}", fingerprint),
            _filter("tag-key", naming.BAKE),
            _filter("instance-state-name", *_WORKING),
        ]
        return [_mark(instance) for instance in self._instances(filters)]

    def claim(self, mark: str, groups: Sequence[str]) -> None:
        """Tags the security groups of these names with the mark; a name without a group is passed over."""
        with translated("marking the builder's security group"):
            found = self._groups([_filter("group-name", *groups)])
            ids = [group["GroupId"] for group in found if naming.BAKE not in _tags(group)]
            if ids:
                self._ec2.create_tags(Resources=ids, Tags=[{"Key": naming.BAKE, "Value": mark}])

    def marked(self) -> Sequence[Marked]:
        """All that carries a mark, and the temporary groups of marked instances."""
        with translated("looking for leftovers of bakes"):
            instances = self._instances([_filter("tag-key", naming.BAKE), _filter("instance-state-name", *_EXISTING)])
            groups = {group["GroupId"]: _of_group(group) for group in self._groups([_filter("tag-key", naming.BAKE)])}
            found = [_of_instance(instance) for instance in instances]
            keys = [Marked(Kind.KEY_PAIR, name, name) for name in self._keys()]
        temporary = {made.id: made for instance in instances for made in _temporary_groups(instance)}
        return [*found, *keys, *{**temporary, **groups}.values()]

    def sweep(self, ours: Ours) -> Sequence[str]:
        """Removes what is marked and `ours`. A group that is still in use stays, marked, for the next sweep."""
        with translated("removing leftovers of a bake"):
            return [*self._sweep_instances(ours), *self._sweep_keys(ours), *self._sweep_groups(ours)]

    def _sweep_instances(self, ours: Ours) -> Iterator[str]:
        marked = self._instances([_filter("tag-key", naming.BAKE), _filter("instance-state-name", *_EXISTING)])
        for instance in [found for found in marked if ours(_mark(found))]:
            temporary = [group.name for group in _temporary_groups(instance)]
            if temporary:
                self.claim(_mark(instance), temporary)
            if _removed(lambda: self._ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])):  # noqa: B023
                yield f"instance {instance['InstanceId']}"

    def _sweep_keys(self, ours: Ours) -> Iterator[str]:
        for name in self._keys():
            if ours(name) and _removed(lambda: self._ec2.delete_key_pair(KeyName=name)):  # noqa: B023
                yield f"key pair {name}"

    def _sweep_groups(self, ours: Ours) -> Iterator[str]:
        for group in self._groups([_filter("tag-key", naming.BAKE)]):
            group_id = group["GroupId"]
            if ours(_mark(group)) and _removed(lambda: self._ec2.delete_security_group(GroupId=group_id)):  # noqa: B023
                yield f"security group {group['GroupName']} ({group_id})"

    def _instances(self, filters: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        with translated("looking for builders"):
            pages: Iterable[Mapping[str, Any]] = self._ec2.get_paginator("describe_instances").paginate(Filters=filters)
            return [item for page in pages for reservation in page["Reservations"] for item in reservation["Instances"]]

    def _keys(self) -> list[str]:
        found = self._ec2.describe_key_pairs(Filters=[_filter("key-name", f"{_KEY_PREFIX}*")])["KeyPairs"]
        return [key["KeyName"] for key in found]

    def _groups(self, filters: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        pages: Iterable[Mapping[str, Any]] = self._ec2.get_paginator("describe_security_groups").paginate(
            Filters=filters
        )
        return [group for page in pages for group in page["SecurityGroups"]]

    @property
    def _ec2(self) -> Any:
        return self._session.client("ec2")


def _removed(call: Callable[[], object]) -> bool:
    """False when it is gone already, or still in use: a group as long as its instance is shutting down."""
    try:
        with translated("removing leftovers of a bake"):
            call()
    except CloudError as error:
        if code_of(error) in _GONE | _IN_USE:
            return False
        raise
    return True


def _of_instance(record: Mapping[str, Any]) -> Marked:
    fingerprint = _tags(record).get(naming.FINGERPRINT, "")
    return Marked(Kind.BUILDER, record["InstanceId"], _mark(record), fingerprint=fingerprint)


def _of_group(record: Mapping[str, Any]) -> Marked:
    return Marked(Kind.SECURITY_GROUP, record["GroupId"], _mark(record), record["GroupName"])


def _temporary_groups(instance: Mapping[str, Any]) -> list[Marked]:
    """The groups that Packer made for this instance alone, marked or not (yet)."""
    found = [group for group in instance.get("SecurityGroups", ()) if group["GroupName"].startswith(_TEMPORARY_GROUP)]
    return [Marked(Kind.SECURITY_GROUP, group["GroupId"], _mark(instance), group["GroupName"]) for group in found]


def _mark(record: Mapping[str, Any]) -> str:
    return _tags(record).get(naming.BAKE, "")


def _tags(record: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in record.get("Tags") or ()}


def _filter(name: str, *values: str) -> dict[str, Any]:
    return {"Name": name, "Values": list(values)}
