"""What can go wrong, in three parts: what happened, why, and what to type next.

Types and exit codes decide; nobody reads the English. "Not yet" is never an error here: it is a `model.Verdict`.
"""

from __future__ import annotations


class ShipitError(Exception):
    """Base of all errors that a user is shown.

    `what` has names and numbers, `why` AWS's or the tool's own code and message, `next` the command or edit that helps.
    """

    exit_code = 1

    def __init__(self, what: str, why: str = "", next: str = "") -> None:  # the third part of an error is called that
        super().__init__(what)
        self.what = what
        self.why = why
        self.next = next

    def __str__(self) -> str:
        parts = [self.what, f"  why:  {self.why}" if self.why else "", f"  next: {self.next}" if self.next else ""]
        return "\n".join(part for part in parts if part)


class UsageError(ShipitError):
    """The command line or shipit.yml is wrong; nothing was touched."""

    exit_code = 2


class Refused(ShipitError):
    """The world is not as it must be for this to be safe; nothing was touched."""

    exit_code = 5


class BakeError(ShipitError):
    """No image came out; the builder and what it made are gone (or listed in `why`)."""


class CloudError(ShipitError):
    """AWS answered with an error that retries do not cure. `code` is AWS's own."""

    def __init__(self, what: str, why: str = "", next: str = "", code: str = "") -> None:
        super().__init__(what, why, next)
        self.code = code


class AccessError(CloudError):
    """Credentials are missing, expired, or not allowed to do this."""


class NotFound(CloudError):
    """What was named does not exist (any more)."""


class Drifted(Refused):
    """Somebody else moved the traffic since we last looked or wrote: whoever that was wins."""


class Stale(ShipitError):
    """What a write rested on was looked at too long ago, since the record let it wait: nothing was sent, look again."""


class Held(Refused):
    """Somebody else is at it. `holder` says who, and until when, in words that can be shown."""


class Interrupted(ShipitError):
    """Whatever is being done has to end here, between two acts; nobody may swallow it."""


class Stopped(Interrupted):
    """A person or CI asked to stop (SIGINT, SIGTERM): between steps, with nothing half done. `told` once an ending was shown."""

    exit_code = 130
    told = False


class Recalled(Interrupted):
    """Somebody asked for something else to serve: `fleet` is its name, empty for what served before; `by` says who asked."""

    def __init__(self, fleet: str, by: str) -> None:
        super().__init__("recalled", f"{by} asked for it", "shipit status")
        self.fleet = fleet
        self.by = by


class LeaseLost(Interrupted):
    """The lease is `taken` by somebody else, or could not be renewed for too long: not one write more."""

    exit_code = 5

    def __init__(self, what: str, why: str = "", next: str = "", *, taken: bool = False) -> None:
        super().__init__(what, why, next)
        self.taken = taken
