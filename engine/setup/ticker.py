"""A download told in a few lines: one for each tenth of it, or every ten seconds where that takes longer.

Its bytes are told as they come, for whoever shows how fast it goes.
"""

from __future__ import annotations

import time

from engine.rootfs.progress import Progress, bytes_moved

_EVERY_S = 10.0
_PARTS = 10


class Ticker:
    """``have`` bytes were there before; ``total`` is None where nobody knows."""

    def __init__(self, progress: Progress, name: str, have: int, total: int | None) -> None:
        self._progress = progress
        self._name = name
        self._have = self._start = have
        self._total = total
        self._started = self._told = time.monotonic()
        self._part = self._parts_of(have)
        resumed = f", going on at {have / 1e6:.1f} MB" if have else ""
        progress(f"Downloading {name}{resumed}", self._fraction())

    def arrived(self, count: int) -> None:
        self._have += count
        bytes_moved.get()(self._have)
        now = time.monotonic()
        part = self._parts_of(self._have)
        if part == self._part and now - self._told < _EVERY_S:
            return
        self._part, self._told = part, now
        rate = (self._have - self._start) / max(now - self._started, 1e-6)
        total = f" of {self._total / 1e6:.1f}" if self._total else ""
        self._progress(f"{self._name}: {self._have / 1e6:.1f}{total} MB, {rate / 1e6:.1f} MB/s", self._fraction())

    def _fraction(self) -> float | None:
        return min(1.0, self._have / self._total) if self._total else None

    def _parts_of(self, count: int) -> int:
        return count * _PARTS // self._total if self._total else 0
