"""How long work tells what it does: one call per line of log, with how far it is where that is known."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Protocol


class Progress(Protocol):
    def __call__(self, line: str, fraction: float | None = None) -> None:
        """``line`` has no newline; ``fraction`` is between 0 and 1, None where it can't be told."""
        ...


def _uncounted(_done_bytes: int) -> None:
    """Nobody asks how fast it goes."""


bytes_moved: ContextVar[Callable[[int], None]] = ContextVar("bytes_moved", default=_uncounted)
"""Told by what transfers a file: how many of its bytes are there. Bytes are no part of a whole as fractions are, so
they go past all that wraps a ``Progress``, to whoever set this for the task."""


def within(progress: Progress, start: float, end: float) -> Progress:
    """A progress for a part of the work: its 0 to 1 is ``start`` to ``end`` of the whole."""

    def part(line: str, fraction: float | None = None) -> None:
        progress(line, None if fraction is None else start + (end - start) * fraction)

    return part


def silent(line: str, fraction: float | None = None) -> None:
    """A progress that nobody looks at."""
