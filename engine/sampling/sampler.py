"""One sampler for all viewers: every SAMPLE_S it looks at the host and at all live VMs, and keeps what it saw.

However many ask, and however often: they get the newest sample, or share one that is taken for all of them. What costs
more than reading /proc (a VMM's counters, a guest's own figures) is asked for at a tick, and only while someone looks.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from engine.host.metrics import HostSampler
from engine.models import HostMetrics, HostSample, Vm, VmDetail
from engine.runs.admission import Admission
from engine.sampling.shared import Shared
from engine.sampling.vm_watch import VmWatch
from engine.vmm.base import VmUsage
from engine.vmm.fleet import Fleet, LiveVm

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

SAMPLE_S = 2.0
FIRST_SAMPLE_S = 0.5  # long enough for a share of CPU time to mean something
HOST_KEPT_S = 3600.0
_FRESH_S = 1.0
_LOOKED_AT_S = 3 * SAMPLE_S  # who has not asked for so long does not look any more

_Measured = list[tuple[VmWatch, VmUsage | None]]


class Sampler:
    """An async context manager: samples while it is open. One that was never opened answers too, and keeps nothing."""

    def __init__(self, host: HostSampler, fleets: Callable[[], Sequence[Fleet]], admission: Admission) -> None:
        self._host = host
        self._fleets = fleets
        self._admission = admission
        self._samples: deque[HostSample] = deque(maxlen=round(HOST_KEPT_S / SAMPLE_S))
        self._watches: dict[str, VmWatch] = {}
        self._unsettled: list[VmWatch] = []
        # Of its own: what blocks elsewhere must not delay it, and the host's counters bear one reader at a time.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sampler")
        self._ticking: asyncio.Task[None] | None = None
        self._looking = Shared(self._look)
        self._list_wanted_s = float("-inf")
        self._failed = False

    async def __aenter__(self) -> Self:
        self._ticking = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        await self._looking.settled()
        await asyncio.gather(*(watch.settled() for watch in (*self._unsettled, *self._watches.values())))
        self._thread.shutdown(wait=False)

    # --- what viewers ask

    async def metrics(self) -> HostMetrics:
        if self._samples:
            return self._samples[-1].metrics
        return await self._in_thread(self._host.sample)

    async def samples(self, last: int) -> Sequence[HostSample]:
        """The newest ``last``, oldest first."""
        return tuple(self._samples)[-last:] if last > 0 else ()

    async def vms(self) -> list[Vm]:
        """All live VMs, oldest first, with figures that are hardly older than a second."""
        self._list_wanted_s = time.monotonic()
        for _ in range(2):  # a look that was under way already may have begun before a VM was born
            if any(watch.lacks_counters or not watch.fresh(_FRESH_S) for watch in self._all()):
                await self._looking.asked()
        return [watch.vm() for watch in self._all()]

    async def detail(self, live: LiveVm) -> VmDetail:
        """Of a VM that is live."""
        watch = self._watches[live.id] = self._watch_of(live)
        watch.detail_wanted_s = time.monotonic()
        if not watch.answered >= {"vmm", "guest"}:
            await asyncio.gather(watch.vmm.asked(), watch.guest.asked())
        for _ in range(2):
            if not watch.fresh(_FRESH_S):
                await self._looking.asked()
        return watch.detail(await self._in_thread(watch.limits))

    # --- sampling

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + min(FIRST_SAMPLE_S, SAMPLE_S)
        while True:
            await asyncio.sleep(due - loop.time())
            due = max(due + SAMPLE_S, loop.time())
            try:
                await self._tick()
                self._failed = False
            except Exception as error:  # noqa: BLE001 - sampling must neither end the engine nor end for good
                if not self._failed:
                    _log.exception("the host can't be sampled", exc_info=error)
                self._failed = True

    async def _tick(self) -> None:
        watches = self._all()
        metrics, measured = await self._in_thread(lambda: (self._host.sample(), _measured(watches)))
        for watch, usage in measured:
            watch.take(usage, tick=True)
        self._samples.append(
            HostSample(metrics=metrics, running=self._admission.running, queued=self._admission.queued)
        )
        since_s = time.monotonic() - _LOOKED_AT_S
        in_detail = [watch for watch in watches if watch.detail_wanted_s > since_s]
        in_list = watches if self._list_wanted_s > since_s else in_detail
        await asyncio.gather(*(watch.vmm.asked() for watch in in_list), *(watch.guest.asked() for watch in in_detail))

    async def _look(self) -> None:
        """At the VMs whose last sample is too old to be shown, and those whose VMM was never asked."""
        watches = self._all()
        stale = [watch for watch in watches if not watch.fresh(_FRESH_S)]
        for watch, usage in await self._in_thread(lambda: _measured(stale)):
            watch.take(usage, tick=False)
        await asyncio.gather(*(watch.vmm.asked() for watch in watches if watch.lacks_counters))

    def _all(self) -> list[VmWatch]:
        """One for each VM that lives now, oldest first for each fleet; those of the dead go once they are settled."""
        lives = [live for fleet in self._fleets() for live in fleet.live]
        before, self._watches = self._watches, {live.id: self._watch_of(live) for live in lives}
        dead = [watch for vm_id, watch in before.items() if vm_id not in self._watches]
        self._unsettled = [watch for watch in (*self._unsettled, *dead) if watch.asking]
        return list(self._watches.values())

    def _watch_of(self, live: LiveVm) -> VmWatch:
        return self._watches.get(live.id) or VmWatch(live, SAMPLE_S)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _measured(watches: Sequence[VmWatch]) -> _Measured:
    return [(watch, watch.measure()) for watch in watches]
