"""Where a text occurs in an output, kept up to date as lines come and go. It draws nothing."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple


class Hit(NamedTuple):
    """Characters ``start`` to ``end`` of line ``line``, as the line is shown."""

    line: int
    start: int
    end: int


class OutputSearch:
    """Case does not count. ``hits`` are in the order of the lines; ``at`` is the index of the one looked at."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._pattern = re.compile(re.escape(text), re.IGNORECASE) if text else None
        self.hits: list[Hit] = []
        self._here: Hit | None = None

    @property
    def here(self) -> Hit | None:
        return self._here

    @property
    def at(self) -> int | None:
        if self._here is None:
            return None
        index = bisect_left(self.hits, self._here)
        return index if index < len(self.hits) and self.hits[index] == self._here else None

    def add(self, lines: Iterable[tuple[int, str]], *, kept: range = range(0)) -> None:
        """Look at these lines, and keep what was found in those of ``kept``."""
        self.hits = self.hits[bisect_left(self.hits, (kept.start, 0, 0)) : bisect_left(self.hits, (kept.stop, 0, 0))]
        if self._pattern is not None:
            for number, text in lines:
                self.hits += [Hit(number, found.start(), found.end()) for found in self._pattern.finditer(text)]

    def look_from(self, line: int) -> None:
        """Look at the first hit from ``line`` on, else at the last one."""
        index = min(bisect_left(self.hits, (line, 0, 0)), len(self.hits) - 1)
        self._here = self.hits[index] if self.hits else None

    def step(self, by: int) -> None:
        """Go ``by`` hits on, round at the ends."""
        if not self.hits:
            return
        at = bisect_left(self.hits, self._here) if self._here is not None else -1
        known = self.at is not None
        # A hit that was dropped meanwhile leaves a gap: forward from it is the hit that now stands there.
        self._here = self.hits[(at + (by if known or by < 0 else by - 1)) % len(self.hits)]

    def within(self, line: int, start: int, end: int) -> list[Hit]:
        """Hits that touch these characters of a line."""
        first, last = bisect_left(self.hits, (line, 0, 0)), bisect_left(self.hits, (line, end, 0))
        return [hit for hit in self.hits[first:last] if hit.end > start]
