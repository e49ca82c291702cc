from __future__ import annotations

import botocore.exceptions as boto
import pytest

from shipit.aws.errors import DENIED, EXPIRED, MISSING, code_of, translated
from shipit.errors import AccessError, CloudError, NotFound, Refused, ShipitError, UsageError


def client_error(code: str, message: str = "said AWS") -> boto.ClientError:
    return boto.ClientError({"Error": {"Code": code, "Message": message}}, "DescribeRules")


def translation(error: Exception) -> ShipitError:
    with pytest.raises(ShipitError) as raised, translated("reading the rules"):
        raise error
    return raised.value


CODES = (
    [(code, AccessError) for code in sorted(DENIED | EXPIRED)]
    + [(code, NotFound) for code in sorted(MISSING)]
    + [(code, CloudError) for code in ("Throttling", "ValidationError", "")]
)


@pytest.mark.parametrize(("code", "kind"), CODES)
def test_an_error_of_aws_is_translated_by_its_code(code: str, kind: type[CloudError]) -> None:
    error = translation(client_error(code))
    assert type(error) is kind
    assert isinstance(error, CloudError)
    assert error.code == code
    assert error.why == f"{code}: said AWS"
    assert "reading the rules" in error.what


@pytest.mark.parametrize("code", sorted(DENIED | EXPIRED | MISSING))
def test_an_error_that_a_person_can_cure_says_what_to_type(code: str) -> None:
    assert translation(client_error(code)).next


def test_the_english_of_aws_decides_nothing() -> None:
    assert type(translation(client_error("ValidationError", "AccessDenied: rule not found"))) is CloudError


CAUSES: list[tuple[Exception, type[ShipitError]]] = [
    (boto.NoCredentialsError(), AccessError),
    (boto.PartialCredentialsError(provider="env", cred_var="secret"), AccessError),
    (boto.ProfileNotFound(profile="nobody"), UsageError),
    (boto.TokenRetrievalError(provider="sso", error_msg="expired"), AccessError),
    (boto.UnauthorizedSSOTokenError(), AccessError),
    (boto.EndpointConnectionError(endpoint_url="https://x"), CloudError),
    (boto.ConnectTimeoutError(endpoint_url="https://x"), CloudError),
    (boto.ReadTimeoutError(endpoint_url="https://x"), CloudError),
    (boto.SSLError(endpoint_url="https://x", error="bad"), CloudError),
    (boto.ParamValidationError(report="no"), CloudError),
    (boto.InvalidRegionError(region_name="eu west"), CloudError),
]


@pytest.mark.parametrize(("cause", "kind"), CAUSES, ids=lambda value: type(value).__name__)
def test_what_botocore_itself_raises_is_translated_too(cause: Exception, kind: type[ShipitError]) -> None:
    error = translation(cause)
    assert type(error) is kind
    assert str(cause) in error.why


def test_an_error_of_ours_passes_unchanged() -> None:
    refused = Refused("no")
    assert translation(refused) is refused


def test_a_bug_of_ours_is_not_dressed_up_as_an_error_of_aws() -> None:
    with pytest.raises(KeyError), translated("reading the rules"):
        raise KeyError("x")


def test_the_code_is_found_before_and_after_the_translation() -> None:
    assert code_of(client_error("Throttling")) == "Throttling"
    assert code_of(translation(client_error("Throttling"))) == "Throttling"
    assert code_of(ValueError("no")) == ""


def test_an_answer_that_is_not_of_aws_at_all_is_no_bug_of_shipit() -> None:
    from botocore.parsers import ResponseParserError

    assert "reading the rules" in translation(ResponseParserError("a proxy's login page")).what
