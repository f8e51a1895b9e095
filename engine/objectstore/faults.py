"""What object storage and the way to it can answer with, as errors that say what to do."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from engine.errors import InputError, NotFoundError, NotReadyError, VmdeckError
from engine.host.s3_probe import plain
from engine.objectstore.place import Place

_CREDENTIALS = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, where the engine runs (a daemon has an "
    "environment of its own), and see that they may read and write this bucket"
)
_REACH = (
    "See that endpoint and region are right, that it runs and that nothing between blocks it; a transfer that is "
    "started again goes on where it stopped"
)
_REFUSED = {
    "AccessDenied", "AllAccessDisabled", "ExpiredToken", "InvalidAccessKeyId",
    "InvalidToken", "SignatureDoesNotMatch", "401", "403",
}  # fmt: skip
_MISSING = {"NoSuchKey", "404", "NotFound"}
_PASSING = {"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "Throttling", "ThrottlingException"}
_PASSING_STATUS = {408, 425, 429, 500, 502, 503, 504}
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"}
_SHOWN = 200


class ObjectMissingError(NotFoundError):
    """No object has that key."""


class UploadGoneError(NotReadyError):
    """The service knows no such upload any more: it was completed, aborted or has expired."""


class ChangedError(NotReadyError):
    """The object is no longer the one that was asked about."""


def kinds() -> tuple[type[Exception], ...]:
    """Whatever a call of boto3 raises by itself."""
    errors = import_module("botocore.exceptions")
    return (errors.ClientError, errors.BotoCoreError)


def is_answer(error: Exception) -> bool:
    """Whether the service refused, or gave no answer at all."""
    return any(_answered(error))


def is_passing(error: Exception) -> bool:
    """Whether the same call may go well in a moment."""
    code, status = _answered(error)
    if code or status:
        return code in _PASSING or status in _PASSING_STATUS
    return _is_connection(error) and type(error).__name__ != "SSLError"


def explained(error: Exception, place: Place, key: str) -> VmdeckError:
    """The error for whoever asked. Nothing of credentials is in it, as nothing is in botocore's."""
    code, status = _answered(error)
    if code == "NoSuchBucket":
        return NotFoundError(
            f"There is no bucket {place.bucket} at {_where(place)}", remedy="See that bucket, endpoint and region fit"
        )
    if code == "NoSuchUpload":
        return UploadGoneError(f"The upload of {key} is not known any more", remedy="Start it again")
    if code == "PreconditionFailed" or status == 412:
        return ChangedError(f"{place.url(key)} was replaced meanwhile", remedy="Start it again")
    if code in _MISSING:
        return ObjectMissingError(f"There is no {place.url(key)}", remedy="List what is there, with --remote")
    if code in _REFUSED or status in (401, 403):
        return NotReadyError(f"{_where(place)} refuses access to {place.bucket}: {code}", remedy=_CREDENTIALS)
    if type(error).__name__ in _NO_CREDENTIALS:
        return NotReadyError(f"There are no credentials for {_where(place)}: {error}", remedy=_CREDENTIALS)
    if code:
        said = str(_details(error).get("Message", ""))[:_SHOWN]
        return NotReadyError(f"{_where(place)} refused {key}: {code} {said}".rstrip(), remedy=_REACH)
    if _is_connection(error):
        return NotReadyError(f"The connection to {_where(place)} failed: {_short(error)}", remedy=_REACH)
    return InputError(f"Object storage can't be asked so: {_short(error)}", remedy="Correct endpoint, bucket or region")


def _is_connection(error: Exception) -> bool:
    errors = import_module("botocore.exceptions")
    return isinstance(error, errors.ConnectionError | errors.HTTPClientError | errors.IncompleteReadError)


def _details(error: Exception) -> dict[str, Any]:
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return response.get("Error") or {}


def _answered(error: Exception) -> tuple[str, int]:
    """Code and HTTP status of a refusal; empty and 0 where nobody answered."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    metadata: dict[str, Any] = response.get("ResponseMetadata") or {}
    return str(_details(error).get("Code", "")), int(metadata.get("HTTPStatusCode", 0))


def _where(place: Place) -> str:
    return plain(place.endpoint_url) if place.endpoint_url else "the S3 service"


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:_SHOWN] if str(error) else type(error).__name__
