"""Every AWS name and tag, within AWS's limits; names in, names out, nothing else.

Target group names allow 32 characters of letters, digits and hyphens (ELBv2 CreateTargetGroup); two hyphens in a row are
avoided. A fleet's template, target group and Auto Scaling group share one name.
"""

from __future__ import annotations

import hashlib
import re

PREFIX = "shipit:"
APP, ENV, FLEET = "shipit:app", "shipit:env", "shipit:fleet"
VERSION, COMMIT, IMAGE, DIGEST = "shipit:version", "shipit:commit", "shipit:image", "shipit:launch-digest"
FINGERPRINT, SOURCE_IMAGE, BAKED_BY, BAKED_AT = (
    "shipit:fingerprint", "shipit:source-image", "shipit:baked-by", "shipit:baked-at",
)  # fmt: skip
BAKE = "shipit:bake"
EXPOSURE, PARKED_UNTIL, PIN, LEAVING = "shipit:exposure", "shipit:parked-until", "shipit:pin", "shipit:leaving"
KEPT_UNTIL, KEEP = "shipit:kept-until", "shipit:keep"
STICKINESS = "shipit:stickiness"
RETIRE_ACTION = "shipit-retire"
PREVIEW_HEADER = "x-shipit-preview"
# Nobody sends this one: a rule for it keeps a parked fleet health checked outside the action.
ASIDE_HEADER = "x-shipit-aside"
TAG_VALUE_LIMIT = 256
_NAME_LIMIT = 32
_NONCE_DIGITS = 8


def fleet_name(app: str, env: str, nonce: str) -> str:
    """`hello-prod-1a2b3c4d`: readable, at most 32 characters, its own for every launch.

    A name is never used twice, since a group of that name may still be on its way out (field notes B7).
    """
    digits = hashlib.sha256(f"{app}/{env}/{nonce}".encode()).hexdigest()[:_NONCE_DIGITS]
    return f"{slug(f'{app}-{env}')[: _NAME_LIMIT - _NONCE_DIGITS - 1].rstrip('-')}-{digits}"


def image_name(app: str, fingerprint: str) -> str:
    """Name of the AMI with this fingerprint: the same inputs have the same name, which AWS keeps unique."""
    return f"{slug(app)}-{fingerprint[:32]}"


def slug(text: str) -> str:
    """Lower case letters, digits and single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def tag_value(text: str) -> str:
    """`text` with what AWS refuses in a tag replaced by `_`, at most 256 characters (ELBv2 Tag; the strictest)."""
    return re.sub(r"[^A-Za-z0-9 _.:/=+\-@]", "_", text)[:TAG_VALUE_LIMIT].strip()
