"""What an object store's errors mean, without the words of the server, which may name an access key."""

from __future__ import annotations

_WRONG_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"}
_OTHER_REGION = {"301", "307", "PermanentRedirect", "AuthorizationHeaderMalformed"}
_SET_KEYS = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def code_and_status(error: BaseException) -> tuple[str, int]:
    """The code and HTTP status of a server's answer; ("", 0) without one. s3fs keeps it in the cause of its errors."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    if not isinstance(response, dict):
        return "", 0
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return str(response.get("Error", {}).get("Code", "")), int(status)


def reason_of(error: BaseException | None) -> str:
    """Why a store cannot be used, without the words of the server, which may name an access key."""
    code, _ = code_and_status(error) if error else ("", 0)
    return f"no usable answer ({code or type(error).__name__})"


def refusal(error: BaseException, code: str, bucket: str, place: str) -> str:
    """What to do about a store that refuses, in one line.

    Args:
        place: address of the object.
    """
    kind = type(error).__name__
    if code == "NoSuchBucket":
        return f"s3://{bucket}: no such bucket; create it or correct the name"
    if code in _WRONG_KEYS:
        return f"s3://{bucket}: the credentials are refused ({code}); {_SET_KEYS}"
    if any(word in kind for word in ("Credential", "Profile", "Token")):
        return f"s3://{bucket}: no usable credentials ({kind}); {_SET_KEYS}"
    if code in _OTHER_REGION:
        return f"s3://{bucket}: is in another region ({code}); set AWS_REGION, or AWS_ENDPOINT_URL"
    if isinstance(error, PermissionError):
        return f"{place}: these credentials may not do this ({code or kind}); ask for permission to read and write"
    if isinstance(error, OSError) and not code:  # a local file
        return f"{place}: {error.strerror or kind}; run the same command again"
    return f"{place}: the store refuses ({code or kind}); check AWS_ENDPOINT_URL, AWS_REGION and the bucket"
