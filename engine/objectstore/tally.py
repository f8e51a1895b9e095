"""How far a transfer is, told from many threads: each tenth of a file as a line, all else as figures, and calmly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from engine.rootfs.progress import Progress

_RATE_EVERY_S = 0.25
_PROGRESS_EVERY_S = 1.0
_PARTS = 10


class Tally:
    """Of one job, which has ``expect`` bytes to do, file by file. ``moved`` is told what went over the network."""

    def __init__(self, progress: Progress, moved: Callable[[int], None]) -> None:
        self._progress = progress
        self._moved = moved
        self._lock = threading.Lock()
        self._network_bytes = 0
        self._network_told_s = self._progress_told_s = 0.0
        self._name = ""
        self._expected = self._file = 1
        self._before = self._done = self._tenth = 0

    def expect(self, count: int) -> None:
        self._expected = max(1, count)

    def begin(self, line: str, name: str, count: int) -> None:
        """The next file, of which ``count`` bytes are to be done."""
        with self._lock:
            self._before += self._done
            self._name, self._file = name, max(1, count)
            self._done = self._tenth = 0
            fraction = self._fraction()
        self._progress(line, fraction)

    def line(self, text: str) -> None:
        self._progress(text, None)

    def did(self, count: int) -> None:
        """Of the file; negative for what has to be done again."""
        with self._lock:
            self._done += count
            tenth = min(_PARTS, self._done * _PARTS // self._file)
            is_next = tenth > self._tenth
            self._tenth = max(tenth, self._tenth)
            now = time.monotonic()
            if not is_next and now - self._progress_told_s < _PROGRESS_EVERY_S:
                return
            self._progress_told_s = now
            fraction = self._fraction()
        self._progress(f"{self._name}: {tenth * 100 // _PARTS} %" if is_next else "", fraction)

    def did_up_to(self, count: int) -> None:
        """So much of the file is done."""
        self.did(count - self._done)

    def moved(self, count: int) -> None:
        """Over the network; negative for what has to go again."""
        with self._lock:
            self._network_bytes += count
            now, total = time.monotonic(), self._network_bytes
            if now - self._network_told_s < _RATE_EVERY_S:
                return
            self._network_told_s = now
        self._moved(total)

    def arrived(self, count: int) -> None:
        """Bytes that both came over the network and are a part of the work."""
        self.moved(count)
        self.did(count)

    def _fraction(self) -> float:
        return min(1.0, (self._before + self._done) / self._expected)
