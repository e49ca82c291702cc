"""botocore's exceptions, translated once into `ShipitError`, by code and never by English text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shipit.errors import AccessError, CloudError, NotFound, ShipitError, UsageError

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "AuthFailure",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
THROTTLED = frozenset(
    {"Throttling", "ThrottlingException", "RequestLimitExceeded", "ProvisionedThroughputExceededException"}
)
MISSING = frozenset(
    {
        "TargetGroupNotFound",
        "ListenerNotFound",
        "RuleNotFound",
        "LoadBalancerNotFound",
        "InvalidAMIID.NotFound",
        "InvalidAMIID.Unavailable",
        "InvalidInstanceID.NotFound",
        "InvalidLaunchTemplateName.NotFoundException",
        "InvalidLaunchTemplateId.NotFoundException",
        "InvalidLaunchTemplateId.NotFound",
        "ResourceNotFoundException",
    }
)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turns whatever botocore raises inside into a `ShipitError` that begins with what was being done."""
    try:
        yield
    except ShipitError:
        raise
    except Exception as error:
        known = translate(error, doing)
        if known is None:
            raise
        raise known from error


def code_of(error: BaseException) -> str:
    """AWS's error code of a botocore ClientError or of what it was translated to; empty for anything else."""
    if isinstance(error, CloudError):
        return error.code
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def message_of(error: BaseException) -> str:
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Message", "")) if isinstance(response, dict) else str(error)


def translate(error: Exception, doing: str) -> ShipitError | None:
    """The `ShipitError` for an exception of botocore's; None when it is not botocore's."""
    import botocore.exceptions as boto

    if isinstance(error, boto.ClientError):
        return _client_error(error, doing)
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
        return AccessError(f"no AWS credentials while {doing}", str(error), "log in (aws sso login) or set AWS_PROFILE")
    if isinstance(error, (boto.ProfileNotFound, boto.ConfigParseError, boto.ConfigNotFound)):
        return UsageError(
            f"the AWS configuration is not usable while {doing}", str(error), "aws configure list-profiles"
        )
    if isinstance(error, (boto.TokenRetrievalError, boto.SSOError)):
        return AccessError(f"the AWS login has expired while {doing}", str(error), "aws sso login")
    if isinstance(error, (boto.HTTPClientError, boto.ConnectionError)):
        return CloudError(f"no answer from AWS while {doing}", str(error), "run the same command again", "Unreachable")
    if type(error).__name__ == "ResponseParserError":
        # Not one of botocore's own tree: something that is not AWS answered, a proxy or a wrong endpoint.
        return CloudError(
            f"the answer could not be read while {doing}", str(error), "is AWS_ENDPOINT_URL right?", "Unreadable"
        )
    if isinstance(error, boto.BotoCoreError):
        return CloudError(f"the AWS client failed while {doing}", str(error), code=type(error).__name__)
    return None


def _client_error(error: Exception, doing: str) -> CloudError:
    code, message = code_of(error), message_of(error)
    why = f"{code}: {message}"
    if code in EXPIRED:
        return AccessError(
            f"the AWS credentials expired while {doing}", why, "log in again, then run the same command", code
        )
    if code in DENIED:
        return AccessError(
            f"AWS does not allow it: {doing}", why, "docs/permissions.md lists what each command needs", code
        )
    if code in MISSING:
        return NotFound(f"not found while {doing}", why, "shipit status", code)
    return CloudError(f"AWS refused while {doing}", why, _advice(error, code), code)


def _advice(error: Exception, code: str) -> str:
    """What helps: patience where AWS had no time or broke, a look at what there is where it did not like what it was asked."""
    response = getattr(error, "response", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    passes = code in THROTTLED or status >= 500
    return "wait a minute, then run the same command again" if passes else "shipit status"
