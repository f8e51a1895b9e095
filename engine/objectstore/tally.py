"""How far a transfer is, told from many threads: each tenth as a line, all else as figures, a few times a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from engine.rootfs.progress import Progress

_EVERY_S = 0.25
_PARTS = 10


class Tally:
    """Of one job: ``begin`` starts the next file. ``share`` is the part of the whole job that a file has.

    ``moved`` is told all bytes over the network; fractions count content, which is what can be known beforehand.
    """

    def __init__(self, progress: Progress, moved: Callable[[int], None]) -> None:
        self._progress = progress
        self._moved = moved
        self._lock = threading.Lock()
        self._bytes = 0
        self._network_told_s = self._progress_told_s = 0.0
        self._base = self._share = 0.0
        self._done = self._total = self._tenth = 0
        self._name = ""

    def begin(self, line: str, name: str, total: int, share: float) -> None:
        """``total`` counts whatever ``reached`` and ``unpacked`` and ``came`` will tell of the file."""
        with self._lock:
            self._base = min(1.0, self._base + self._share)
            self._share, self._name = share, name
            self._done, self._total, self._tenth = 0, max(1, total), 0
        self._progress(line, self._base)

    def line(self, text: str) -> None:
        self._progress(text, None)

    def network(self, count: int) -> None:
        """Bytes that went over the network; negative for what will do so once more."""
        with self._lock:
            self._bytes += count
            due = (now := time.monotonic()) - self._network_told_s >= _EVERY_S
            self._network_told_s = now if due else self._network_told_s
        if due:
            self._moved(self._bytes)

    def came(self, count: int) -> None:
        """Packed bytes that arrived: network and progress at once."""
        self.network(count)
        self._add(count)

    def have(self, count: int) -> None:
        """Packed bytes that are here from before."""
        self._add(count)

    def reached(self, content_end: int) -> None:
        """Content up to here is on the other side."""
        with self._lock:
            added = content_end - self._done
        self._add(added)

    def unpacked(self, count: int) -> None:
        self._add(count)

    def _add(self, count: int) -> None:
        with self._lock:
            self._done += count
            part = min(1.0, self._done / self._total)
            tenth, before = int(part * _PARTS), self._tenth
            self._tenth = max(tenth, before)
            due = (now := time.monotonic()) - self._progress_told_s >= _EVERY_S or tenth > before
            self._progress_told_s = now if due else self._progress_told_s
            fraction = min(1.0, self._base + part * self._share)
        if due:
            line = f"{self._name}: {tenth * 100 // _PARTS} %" if tenth > before else ""
            self._progress(line, fraction)
