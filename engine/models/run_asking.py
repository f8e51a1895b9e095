"""What people type to ask for past runs: times, and how runs end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import get_args

from engine.errors import VmdeckError
from engine.models.runs import RunStatus

TIMES = "30m, 2h, 7d, 2026-03-14 or 2026-03-14T15:00"
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO = re.compile(r"(\d{1,6})([smhdw])")


def moment(text: str, now: datetime) -> datetime:
    """So long before ``now``, or the time itself, UTC unless it says otherwise. Raises ValueError."""
    try:
        if (ago := _AGO.fullmatch(text)) is not None:
            return now - timedelta(seconds=int(ago[1]) * _UNITS_S[ago[2]])
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time: say {TIMES}") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def outcome(text: str) -> str:
    """An outcome, or with a ``!`` before it all others. Raises ValueError."""
    known = (*get_args(RunStatus), *sorted({*kinds(VmdeckError)} - {VmdeckError.kind}))
    if text.removeprefix("!") not in known:
        raise ValueError(f"no run ends in {text.removeprefix('!')!r}, but in {', '.join(known)}")
    return text


def kinds(error: type[VmdeckError]) -> Iterator[str]:
    """By which history tells this error and those that are one, too."""
    yield error.kind
    for each in error.__subclasses__():
        yield from kinds(each)
