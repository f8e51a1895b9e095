"""What an operator types to narrow the list of past runs, and the question to the engine that it makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import get_args

from engine.models import Caller, RunQuery
from engine.models.run_asking import moment, outcome


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
        elif key not in _PARTS:
            raise FilterError(f"there is no filter {key}: but {', '.join(f'{known}:' for known in _PARTS)}")
        elif value:
            name, read = _PARTS[key]
            try:
                asked[name] = read(value, now)
            except ValueError as error:
                raise FilterError(str(error)) from None
    return RunFilter(text.strip(), RunQuery.model_validate(asked), tuple(words))


def _text(value: str, _now: datetime) -> str:
    if len(value) > 64:
        raise ValueError(f"{value[:12]}... is too long")
    return value


def _status(value: str, _now: datetime) -> str:
    return outcome(value)


def _caller(value: str, _now: datetime) -> str:
    if value not in get_args(Caller):
        raise ValueError(f"there is no caller {value!r}, but {', '.join(get_args(Caller))}")
    return value


_PARTS: dict[str, tuple[str, Callable[[str, datetime], object]]] = {
    "lang": ("language", _text),
    "status": ("outcome", _status),
    "caller": ("caller", _caller),
    "since": ("since", moment),
    "until": ("until", moment),
    "trace": ("trace_id", _text),
}
"""What stands before the colon: the field of a RunQuery, and how its value is read (ValueError names a wrong one)."""
