"""How long each part of a VM's start took, as it was measured on the host.

| stage | what it ends with |
|---|---|
| prepare | what must be there first is: folder, jail, control groups, the snapshot's memory where it must be copied |
| spawn | the VMM process is started |
| vmm | it takes commands (a QEMU that boots is given none: that is in ``machine``) |
| load | state and memory are loaded, and the restored guest runs |
| machine | the machine is built and its firmware is through: the guest's kernel begins |
| kernel, modules, image, agent | the guest's own stages of a cold boot: its first process, drivers, image, agent |
| hello | the agent has been heard |
| resync | it has confirmed its new time, entropy and identity |
| server | the language's server answers, where the machine was not saved with it running |
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Sequence

from engine.models import BootStage


class Stopwatch:
    """Runs from its making. Stages follow each other without a gap, so they add up to the whole start."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        self._ends: list[tuple[float, str]] = []

    @property
    def last_s(self) -> float:
        """When the last stage ended, by the monotonic clock."""
        return self._ends[-1][0] if self._ends else self._began_s

    @property
    def stages(self) -> tuple[BootStage, ...]:
        begins = [self._began_s, *(at_s for at_s, _ in self._ends)]
        return tuple(
            BootStage(name=name, ms=round((at_s - begin_s) * 1000, 3))
            for begin_s, (at_s, name) in zip(begins, self._ends, strict=False)
        )

    def mark(self, name: str) -> None:
        """The stage ``name`` has just ended; it began where the one before it did end."""
        self._ends.append((time.monotonic(), name))

    def mark_at(self, name: str, at_s: float, *, after_s: float) -> None:
        """It ended at ``at_s``, which is known only now, and not before ``after_s``."""
        bisect.insort(self._ends, (min(max(at_s, after_s), time.monotonic()), name))

    def mark_guest(self, stages_ms: Sequence[tuple[str, float]], *, before: str, rest: str) -> None:
        """What ended just now is, as the guest says, its ``stages_ms``, each counted from its kernel's begin.

        What went on before that is the stage ``before``. A guest that tells more time than went by, or less at a later
        stage, is not believed: all of it is ``rest``.
        """
        now, last_s = time.monotonic(), self.last_s
        ends = [ms for _, ms in stages_ms]
        begin_s = now - (ends[-1] / 1000 if ends else 0.0)
        if not ends or ends != sorted(ends) or begin_s < last_s:
            self.mark(rest)
            return
        self._ends.append((begin_s, before))
        self._ends += [(begin_s + ms / 1000, name) for name, ms in stages_ms]
