"""What a child process (Packer, the AWS CLI) needs to be who we are: credentials and endpoint, by environment only.

Packer reads fewer kinds of credentials than boto3 (no SSO, no `aws login`, no credential process): those are frozen for
it. What it can read and renew by itself (instance and container roles, web identity) is left to it, since a frozen key
may expire during a long bake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shipit.aws.errors import translated
from shipit.aws.session import Session

_RENEWED_BY_THE_CHILD = ("iam-role", "container-role", "assume-role-with-web-identity")


def child_credentials(session: Session) -> Mapping[str, str]:
    """AWS_* variables for the child; without a key when the child finds its own way."""
    region = {"AWS_REGION": session.region, "AWS_DEFAULT_REGION": session.region}
    with translated("reading the AWS credentials"):
        credentials = _credentials(session)
        if credentials is None or getattr(credentials, "method", "") in _RENEWED_BY_THE_CHILD:
            return region
        frozen = credentials.get_frozen_credentials()
    keys = {"AWS_ACCESS_KEY_ID": frozen.access_key, "AWS_SECRET_ACCESS_KEY": frozen.secret_key}
    return {**region, **keys, **({"AWS_SESSION_TOKEN": frozen.token} if frozen.token else {})}


def child_endpoint(session: Session) -> str | None:
    """EC2's endpoint when it is not the one that AWS has for the region: a sandbox, or a VPC endpoint."""
    url = str(session.client("ec2").meta.endpoint_url)
    usual = (f"https://ec2.{session.region}.{suffix}" for suffix in ("amazonaws.com", "amazonaws.com.cn"))
    return None if url in usual else url


def _credentials(session: Session) -> Any:
    """Those that the EC2 client signs with: whatever the session was given, this is what it uses."""
    return session.client("ec2")._request_signer._credentials
