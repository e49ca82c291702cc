"""What is found in an account when one looks after it: parts that may be left over, and findings of a check-up. Facts only."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from shipit.model import Image
from shipit.value import value


class Kind(StrEnum):
    """What can be left over."""

    FLEET = "fleet"
    TARGET_GROUP = "target_group"
    TEMPLATE = "launch_template"
    BUILDER = "builder"
    KEY_PAIR = "key_pair"
    SECURITY_GROUP = "security_group"
    IMAGE = "image"
    SNAPSHOT = "snapshot"

    @property
    def words(self) -> str:
        return self.value.replace("_", " ")


@value()
class Naming:
    """An action that names a target group. `own` is the one that shipit shifts, `preview` a rule of its own for a header,
    behind which a fleet is previewed, or waits.
    """

    rule: str
    weight: int
    own: bool = False
    preview: bool = False


@value()
class Group:
    """A target group that tags prove to be ours, and everything that names it."""

    name: str
    arn: str
    namings: tuple[Naming, ...] = ()


@value()
class Marked:
    """Something made for a bake: a builder instance, key pair or security group. `abandoned`: nobody works on it any more."""

    kind: Kind
    id: str
    mark: str
    name: str = ""
    fingerprint: str = ""
    abandoned: bool = False


@value()
class Ami:
    """One of our images. `pin` is the value of its tag `shipit:keep`, None without one; `protected` from deregistration."""

    image: Image
    pin: str | None = None
    protected: bool = False


@value()
class Snapshot:
    """A snapshot that tags prove to be ours, and that none of our images is made of."""

    id: str
    created_at: datetime
    pin: str | None = None


class Health(StrEnum):
    """What a check says: in order, worth a look, or in the way of a release."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@value()
class Finding:
    """One line of a check-up: what was looked at, why it is judged so, and what to type next."""

    mood: Health
    what: str
    why: str = ""
    next: str = ""
