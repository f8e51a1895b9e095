"""Errors as RFC 9457 problem documents, and back: what the server sends, the client reads and ``--json`` prints.

Imports no web framework, because the client and the CLI use it too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, cast

from engine import errors
from engine.errors import BusyError, InputError, InternalError, VmdeckError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:vmdeck:error:"
MAX_TEXT = 500  # characters of one message: what a caller sent may stand in it
MAX_FAULTS = 20

Scalar = str | int | float | None


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One field of a request that is not valid; ``field`` is its path, such as ``files.0.path``."""

    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem document. ``type`` is ``urn:vmdeck:error:<kind>``; members that say nothing stay out of the JSON."""

    type: str
    title: str
    status: int
    detail: str
    remedy: str = ""
    context: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    errors: Sequence[FieldFault] = ()
    retry_after_s: int | None = None
    trace_id: str | None = None

    def json(self) -> bytes:
        """ASCII JSON, so that text which is not valid Unicode can stand in it."""
        return json.dumps(
            {key: value for key, value in asdict(self).items() if value not in (None, "", {}, ())}
        ).encode()


def from_error(error: VmdeckError, *, trace_id: str | None = None) -> Problem:
    known = error.context.get("trace_id")
    return Problem(
        type=TYPE_PREFIX + error.kind,
        title=error.title,
        status=error.http_status,
        detail=error.message,
        remedy=error.remedy,
        context=error.context,
        retry_after_s=error.retry_after_s if isinstance(error, BusyError) else None,
        trace_id=known if isinstance(known, str) else trace_id,
    )


def from_validation(details: Sequence[ErrorDetails], *, trace_id: str | None = None) -> Problem:
    """What pydantic found, without the values that were sent."""
    faults = tuple(_fault(each) for each in details[:MAX_FAULTS])
    return Problem(
        type=TYPE_PREFIX + InputError.kind,
        title=InputError.title,
        status=InputError.http_status,
        detail="; ".join(f"{fault.field}: {fault.message}" if fault.field else fault.message for fault in faults[:3]),
        errors=faults,
        trace_id=trace_id,
    )


def to_error(document: Mapping[str, object]) -> VmdeckError:
    """The error that a document stands for. A kind not in our tree becomes InputError (4xx) or InternalError."""
    kind = str(document.get("type", "")).removeprefix(TYPE_PREFIX)
    message = str(document.get("detail") or document.get("title") or "The engine refused without saying why")
    remedy = str(document.get("remedy", ""))
    cls = _tree().get(kind)
    error: VmdeckError
    if cls is not None and issubclass(cls, BusyError):
        error = cls(message, retry_after_s=_whole(document.get("retry_after_s"), 1), remedy=remedy)
    elif cls is not None:
        error = cls(message, remedy=remedy)
    elif 400 <= _whole(document.get("status"), 500) < 500:
        error = InputError(message, remedy=remedy)
    else:
        error = InternalError(message, remedy=remedy)
    context = document.get("context")
    if isinstance(context, dict):
        found = cast("dict[str, object]", context)
        error.context = {key: value for key, value in found.items() if isinstance(value, Scalar)}
    return error


def _fault(detail: ErrorDetails) -> FieldFault:
    where = [str(part) for part in detail["loc"] if part != "body"]
    message = detail["msg"].removeprefix("Value error, ")
    return FieldFault(field=".".join(where)[:MAX_TEXT], message=message[:MAX_TEXT])


def _tree() -> dict[str, type[VmdeckError]]:
    """Kinds to the classes of engine.errors; a subclass defined elsewhere shares its parent's kind."""
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, VmdeckError)]
    return {cls.kind: cls for cls in classes if cls is not VmdeckError}


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise
