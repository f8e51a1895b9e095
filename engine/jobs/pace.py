"""How fast a job goes and how long it will still take, told calmly, and not before it is known."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

_RATE_OVER_S = 5.0
_RATE_KNOWN_AFTER_S = 0.5
_ENOUGH_S = 3.0
_ENOUGH_DONE = 0.05
_CALM_S = 8.0
"""An estimate that turns out wrong is put right over about this time, so that it does not jump."""
_UNITS = ("B/s", "KiB/s", "MiB/s", "GiB/s")


class Pace:
    """Is told fractions of the whole and, while something is transferred, bytes. Times are seconds of ``clock``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._moved: deque[tuple[float, int]] = deque()
        self._first: tuple[float, float] | None = None
        self._fraction = 0.0
        self._told: tuple[float, float] | None = None

    def progressed(self, fraction: float) -> None:
        if self._first is None or fraction < self._fraction:
            self._first, self._told = (self._clock(), fraction), None
        self._fraction = fraction

    def moved(self, done_bytes: int) -> None:
        """So much of what is being transferred is there; less than before means that something else has begun."""
        if self._moved and done_bytes < self._moved[-1][1]:
            self._moved.clear()
        now = self._clock()
        self._moved.append((now, done_bytes))
        while now - self._moved[0][0] > _RATE_OVER_S:
            self._moved.popleft()

    def rate(self) -> str | None:
        """Of the last seconds; None where nothing moved in them."""
        if not self._moved:
            return None
        now, (began, had), (heard, has) = self._clock(), self._moved[0], self._moved[-1]
        if now - heard > _RATE_OVER_S or now - began < _RATE_KNOWN_AFTER_S:
            return None
        bytes_s = (has - had) / (now - began)
        unit = min(int(math.log(bytes_s, 1024)) if bytes_s >= 1 else 0, len(_UNITS) - 1)
        return f"{bytes_s / 1024**unit:.{1 if unit else 0}f} {_UNITS[unit]}"

    def remaining_s(self) -> float | None:
        """From how long the part that is done took."""
        if self._first is None:
            return None
        now, (began, fraction_then) = self._clock(), self._first
        done = self._fraction - fraction_then
        if now - began < _ENOUGH_S or done < _ENOUGH_DONE:
            return None
        estimate = (now - began) * (1 - self._fraction) / done
        if self._told is not None:
            since = now - self._told[0]
            before = max(0.0, self._told[1] - since)
            estimate = before + (estimate - before) * (1 - math.exp(-since / _CALM_S))
        self._told = (now, estimate)
        return float(round(estimate))
