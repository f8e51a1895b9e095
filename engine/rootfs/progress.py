"""How long work tells what it does: one call per line of log, with how far it is where that is known."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    def __call__(self, line: str, fraction: float | None = None) -> None:
        """``line`` has no newline; ``fraction`` is between 0 and 1, None where it can't be told."""
        ...


def within(progress: Progress, start: float, end: float) -> Progress:
    """A progress for a part of the work: its 0 to 1 is ``start`` to ``end`` of the whole."""

    def part(line: str, fraction: float | None = None) -> None:
        progress(line, None if fraction is None else start + (end - start) * fraction)

    return part


def silent(line: str, fraction: float | None = None) -> None:
    """A progress that nobody looks at."""
