"""The host over time, as the engine has sampled it: what sparklines are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.models import HostSample


LENGTH = 240
_NEWEST = 8


class History:
    """The newest ``LENGTH`` samples. ``wanted`` says how many to ask for: few, unless some were missed."""

    def __init__(self) -> None:
        self._samples: tuple[HostSample, ...] = ()
        self.wanted = LENGTH

    @property
    def newest(self) -> HostSample | None:
        return self._samples[-1] if self._samples else None

    def add(self, samples: Sequence[HostSample]) -> None:
        """What the engine gave for ``wanted``."""
        known = {sample.metrics.at: sample for sample in self._samples}
        complete = self.wanted == LENGTH or any(sample.metrics.at in known for sample in samples)
        known |= {sample.metrics.at: sample for sample in samples}
        self._samples = tuple(known[at] for at in sorted(known))[-LENGTH:]
        self.wanted = _NEWEST if complete and samples else LENGTH

    def series(self, value: Callable[[HostSample], float]) -> list[float]:
        return [value(sample) for sample in self._samples]
