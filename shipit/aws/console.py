"""What an instance printed: its console, as EC2 keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shipit.aws.errors import code_of, translated
from shipit.errors import CloudError


def console_text(client: Any, instance_id: str) -> str:
    """All that EC2 has of the console. The newest output needs a Nitro instance; older ones give what they have."""
    try:
        answer = _output(client, instance_id, latest=True)
    except CloudError as error:
        if code_of(error) != "UnsupportedOperation":
            raise
        answer = _output(client, instance_id, latest=False)
    # The API's base64 is decoded by botocore already.
    return str(answer.get("Output", ""))


def last_lines(client: Any, instance_id: str, count: int = 12) -> Sequence[str]:
    """The last lines of the console; empty when EC2 has none or the instance is gone."""
    try:
        text = console_text(client, instance_id)
    except CloudError:
        return ()
    return tuple(line.rstrip() for line in text.splitlines() if line.strip())[-count:]


def _output(client: Any, instance_id: str, *, latest: bool) -> dict[str, Any]:
    with translated(f"reading the console of {instance_id}"):
        answer: dict[str, Any] = client.get_console_output(InstanceId=instance_id, Latest=latest)
        return answer
