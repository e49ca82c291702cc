"""Requests to an app through its load balancer, for gates that probe it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from shipit import __version__
from shipit.errors import ShipitError

LARGEST_BYTES = 1_000_000
PIECE_BYTES = 65_536


def ask(url: str, headers: Mapping[str, str], seconds: float) -> tuple[int, bytes, float]:
    """Status, body (its first million bytes) and how many seconds it took. Follows no redirect and retries nothing. Raises
    `ShipitError` where there is no answer in time.
    """
    import urllib3

    began = time.monotonic()
    try:
        with urllib3.PoolManager() as pool:
            answer = pool.request(
                "GET",
                url,
                headers={"User-Agent": f"shipit/{__version__}", **headers},
                timeout=urllib3.Timeout(total=seconds),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            body = b""
            while len(body) < LARGEST_BYTES and (piece := answer.read1(PIECE_BYTES)):
                body += piece
                if time.monotonic() - began > seconds:
                    raise ShipitError(f"no whole answer from {url}", f"it takes more than {seconds:g} s", "")
            answer.close()
    except urllib3.exceptions.HTTPError as error:
        raise ShipitError(f"no answer from {url}", str(error), "is the URL right, and reachable from here?") from error
    return answer.status, body, time.monotonic() - began
