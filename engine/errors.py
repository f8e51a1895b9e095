"""Every error that leaves the engine, split by what the caller can do about it.

Each carries what happened (``str``), why it matters or what to do (``remedy``), and facts for a log (``context``).
Front ends read ``exit_code`` and ``http_status``; they hold no table of their own.
"""

from __future__ import annotations

from typing import ClassVar


class VmdeckError(Exception):
    """Base of the tree; never raised itself."""

    kind: ClassVar[str] = "error"
    title: ClassVar[str] = "Error"
    exit_code: ClassVar[int] = 70
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, remedy: str = "", **context: str | int | float | None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.context = context


class InputError(VmdeckError):
    """The request is wrong; sending it again unchanged will fail again."""

    kind = "input"
    title = "The request is not valid"
    exit_code = 2
    http_status = 422


class NotFoundError(InputError):
    """The request names something that does not exist here."""

    kind = "not-found"
    title = "No such thing here"
    http_status = 404


class ConflictError(InputError):
    """The request can't be met while something else is as it is (in use, exists already, held by another engine)."""

    kind = "conflict"
    title = "In conflict with what is there"
    http_status = 409


class ForbiddenError(InputError):
    """The caller may not ask this of the engine: it is its operator's only."""

    kind = "forbidden"
    title = "Not allowed"
    http_status = 403


class NotReadyError(VmdeckError):
    """This host lacks something that the request needs: setup, an image, disk room, a permission."""

    kind = "not-ready"
    title = "This host is not ready for it"
    exit_code = 2
    http_status = 503


class BusyError(VmdeckError):
    """All places are taken; try again after ``retry_after_s`` seconds."""

    kind = "busy"
    title = "Too busy now"
    exit_code = 75  # EX_TEMPFAIL, sysexits(3)
    http_status = 429

    def __init__(self, message: str, *, retry_after_s: int, remedy: str = "", **context: str | int | float) -> None:
        super().__init__(message, remedy=remedy or f"Try again in {retry_after_s} s.", **context)
        self.retry_after_s = retry_after_s


class OutcomeUnknownError(VmdeckError):
    """The code was handed to a guest that then was lost: it may or may not have run."""

    kind = "outcome-unknown"
    title = "Nobody knows whether it ran to its end"
    http_status = 502


class GuestProtocolError(OutcomeUnknownError):
    """The guest sent something that the wire does not allow; its VM was destroyed."""

    kind = "guest-protocol"
    title = "The guest broke the protocol"


class SnapshotMismatchError(NotReadyError):
    """A snapshot does not fit this host, VMM or image, or its files are not those it was made with."""

    kind = "snapshot-mismatch"
    title = "The snapshot does not fit"


class InternalError(VmdeckError):
    """A fault of ours or of a part we drive (VMM would not start, a tool failed)."""

    kind = "internal"
    title = "Internal fault"
