"""What an operator types to narrow the list of past runs, and the question to the engine that it makes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from engine.errors import VmdeckError
from engine.models import Caller, RunQuery, RunStatus

SYNTAX = "lang:python status:!success caller:http since:1h until:2026-03-14 trace:7f3c, and words"
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_AGO = re.compile(r"(\d{1,6})([smhdw])")


class FilterError(ValueError):
    """Names the expression that is not one, and what would be."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """``query`` is for the engine; a row must also contain all ``words``. Empty lets everything through."""

    text: str = ""
    query: RunQuery = field(default_factory=RunQuery)
    words: tuple[str, ...] = ()


def parse(text: str, now: datetime) -> RunFilter:
    """``since:1h`` counts back from ``now``. Raises FilterError."""
    asked: dict[str, object] = {}
    words: list[str] = []
    for part in text.split():
        key, colon, value = part.partition(":")
        if not colon:
            words.append(part)
            continue
        if key not in _PARTS:
            raise FilterError(f"there is no filter {key}: but {', '.join(f'{known}:' for known in _PARTS)}")
        if value:
            name, read = _PARTS[key]
            asked[name] = read(value, now)
    return RunFilter(text.strip(), RunQuery.model_validate(asked), tuple(words))


def _text(value: str, _now: datetime) -> str:
    if len(value) > 64:
        raise FilterError(f"{value[:12]}... is too long")
    return value


def _status(value: str, _now: datetime) -> str:
    if value.removeprefix("!") not in (known := _outcomes()):
        raise FilterError(f"no run ends in {value.removeprefix('!')!r}, but in {', '.join(known)}")
    return value


def _caller(value: str, _now: datetime) -> str:
    if value not in get_args(Caller):
        raise FilterError(f"there is no caller {value!r}, but {', '.join(get_args(Caller))}")
    return value


def _moment(value: str, now: datetime) -> datetime:
    if (ago := _AGO.fullmatch(value)) is not None:
        return now - timedelta(seconds=int(ago[1]) * _UNITS_S[ago[2]])
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise FilterError(f"{value!r} is no time: say 30m, 2h, 7d, 2026-03-14 or 2026-03-14T15:00") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


_PARTS: dict[str, tuple[str, Any]] = {
    "lang": ("language", _text),
    "status": ("outcome", _status),
    "caller": ("caller", _caller),
    "since": ("since", _moment),
    "until": ("until", _moment),
    "trace": ("trace_id", _text),
}


def _outcomes() -> tuple[str, ...]:
    return (*get_args(RunStatus), *sorted(_kinds(VmdeckError)))


def _kinds(error: type[VmdeckError]) -> Iterator[str]:
    for each in error.__subclasses__():
        yield each.kind
        yield from _kinds(each)
