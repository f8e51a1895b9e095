"""What is sampled of one live VM: its figures over time, and what its VMM and its guest answer while someone looks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

from engine.errors import InternalError, VmdeckError
from engine.guestlink.guest import GuestSilentError
from engine.guestlink.messages import Stats
from engine.models import Figure, Vm, VmDetail, VmPoint, VmState
from engine.printable import printable
from engine.sampling.shared import Shared
from engine.vmm import figures
from engine.vmm.base import VmmCounters, VmUsage
from engine.vmm.fleet import LiveVm

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

SERIES_S = 600.0
ASK_DEADLINE_S = 1.5
_SHOWN = 200
_UP = frozenset({VmState.READY, VmState.RUNNING})


class VmWatch:
    """Kept as long as its VM lives. ``measure`` runs in a thread, all else in the event loop."""

    def __init__(self, live: LiveVm, sample_s: float) -> None:
        self.live = live
        self.vmm = Shared(self._ask_vmm)
        self.guest = Shared(self._ask_guest)
        self.answered: set[str] = set()
        """Who was asked at least once, and has answered or failed to: "vmm", "guest"."""
        self.detail_wanted_s = float("-inf")
        self._usage: VmUsage | None = None
        self._cpu_percent: float | None = None
        self._measured_s = float("-inf")
        self._base = (live.born_s, 0.0)
        self._series: deque[VmPoint] = deque(maxlen=round(SERIES_S / sample_s))
        self._counters: VmmCounters | None = None
        self._stats: Stats | None = None
        self._missing: dict[str, str] = {}
        self._failed = False

    def fresh(self, max_age_s: float) -> bool:
        return time.monotonic() - self._measured_s <= max_age_s

    @property
    def lacks_counters(self) -> bool:
        """Its VMM never answered, and would at once: one that has just been started may not yet."""
        return "vmm" not in self.answered and self.live.state in _UP

    # --- figures over time

    def measure(self) -> VmUsage | None:
        """Blocks for a moment. What goes wrong with one VM must not keep others from being sampled."""
        try:
            return self.live.vm.usage()
        except Exception as error:  # noqa: BLE001 - of whatever driver; it is logged
            if not self._failed and self.live.state is not VmState.STOPPING:
                _log.warning("a VM can't be sampled", extra={"vm": self.live.id}, exc_info=error)
                self._failed = True
            return None

    def take(self, usage: VmUsage | None, *, tick: bool) -> None:
        """CPU is the share since the last ``tick``, or the VM's start: who looks in between moves nothing."""
        now = time.monotonic()
        self._usage, self._measured_s = usage, now
        if usage is None:
            self._cpu_percent = None
        else:
            base_s, base_cpu_s = self._base
            self._cpu_percent = round(max(0.0, 100 * (usage.cpu_s - base_cpu_s) / max(now - base_s, 0.001)), 1)
        if tick:
            self._base = (now, usage.cpu_s) if usage else self._base
            private = usage.memory_private_bytes if usage else None
            self._series.append(
                VmPoint(at=datetime.now(UTC), cpu_percent=self._cpu_percent, memory_private_bytes=private)
            )

    def vm(self) -> Vm:
        usage, counters = self._usage, self._counters
        return self.live.as_it_is().model_copy(
            update={
                "cpu_percent": self._cpu_percent,
                "memory_private_bytes": usage.memory_private_bytes if usage else None,
                "memory_shared_bytes": usage.memory_shared_bytes if usage else None,
                "disk_read_bytes": counters.disk_read_bytes if counters else None,
                "disk_written_bytes": counters.disk_written_bytes if counters else None,
            }
        )

    # --- what is asked while someone looks

    @property
    def asking(self) -> bool:
        """Whether a question is under way."""
        return self.vmm.asking or self.guest.asking

    async def settled(self) -> None:
        """Return when no question is under way."""
        await asyncio.gather(self.vmm.settled(), self.guest.settled())

    async def _ask_vmm(self) -> None:
        self._counters = await self._answer("vmm", self._ask_counters)

    async def _ask_guest(self) -> None:
        self._stats = await self._answer("guest", self._ask_stats)

    async def _ask_counters(self) -> VmmCounters:
        if self.live.state is VmState.STOPPING:
            raise InternalError("the VM is stopping")
        return await self.live.vm.counters(ASK_DEADLINE_S)

    async def _ask_stats(self) -> Stats:
        if self.live.guest is None:
            raise GuestSilentError("nobody is connected to its agent")
        return await self.live.guest.stats_meanwhile(ASK_DEADLINE_S)

    async def _answer(self, who: str, ask: Callable[[], Awaitable[_T]]) -> _T | None:
        """None where there is none, for whatever reason: it is kept for those who look at this VM."""
        try:
            answer = await ask()
        except Exception as error:  # noqa: BLE001 - of whatever driver; what is not its refusal is logged
            if not isinstance(error, VmdeckError | OSError) and who not in self._missing:
                _log.warning("the %s of a VM gave no answer", who, extra={"vm": self.live.id}, exc_info=error)
            self._missing[who] = _brief(error)
            return None
        else:
            self._missing.pop(who, None)
            return answer
        finally:
            self.answered.add(who)

    def limits(self) -> tuple[Figure, ...] | str:
        """Or why they can't be told. Blocks for a moment."""
        try:
            return self.live.vm.limits() or "no control group holds it"
        except (OSError, ValueError) as error:
            return _brief(error)

    def detail(self, limits: tuple[Figure, ...] | str) -> VmDetail:
        missing = self._missing if isinstance(limits, tuple) else {"limits": limits, **self._missing}
        return VmDetail(
            vm=self.vm(),
            series=tuple(self._series),
            stages=self.live.vm.stopwatch.stages,
            limits=limits if isinstance(limits, tuple) else (),
            vmm=self._counters.figures if self._counters else (),
            guest=_figures_of(self._stats) if self._stats else (),
            missing=tuple(f"{what}: {why}" for what, why in sorted(missing.items())),
        )


def _figures_of(stats: Stats) -> tuple[Figure, ...]:
    used = max(0, stats.memory_total_bytes - stats.memory_available_bytes)
    return (
        Figure(name="memory", value=figures.size(stats.memory_total_bytes), used=figures.size(used)),
        Figure(name="memory of the run", value=figures.size(stats.run_memory_bytes)),
        Figure(name="CPU of the run", value=figures.duration(stats.run_cpu_ms / 1000)),
    )


def _brief(error: Exception) -> str:
    """It may quote what a VMM or a guest said."""
    text = error.message if isinstance(error, VmdeckError) else str(error)
    return printable(text[:_SHOWN]) or type(error).__name__
