"""Who may run now, who waits, who is sent away: a bounded first-come-first-served queue."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from engine.errors import BusyError

_TYPICAL_RUN_S = 2.0  # until runs have been seen
_WEIGHT = 0.2  # of the newest run in the moving average


class Admission:
    """``capacity`` places and a queue of at most ``max_queued`` behind them."""

    def __init__(self, capacity: int, max_queued: int) -> None:
        self.capacity = capacity
        self._max_queued = max_queued
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._taken = 0
        self._run_s = _TYPICAL_RUN_S

    @property
    def running(self) -> int:
        return self._taken

    @property
    def queued(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def place(self, *, patient: bool = False, told: Callable[[int], None] | None = None) -> AsyncGenerator[None]:
        """A place for one run. ``told`` hears the position when it has to wait (1 is next).

        Raises BusyError when the queue is full, unless ``patient``: for further items of a batch let in already.
        """
        loop = asyncio.get_running_loop()
        if self._taken < self.capacity and not self._waiting:
            self._taken += 1
        else:
            if not patient and len(self._waiting) >= self._max_queued:
                raise BusyError(
                    f"{self._taken} runs are under way and {len(self._waiting)} wait, which is all that may",
                    retry_after_s=self.wait_s(),
                )
            turn: asyncio.Future[None] = loop.create_future()
            self._waiting.append(turn)
            if told:
                told(len(self._waiting))
            try:
                await turn  # whoever leaves hands its place over, so _taken stays
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._hand_over()
                else:
                    self._waiting.remove(turn)
                raise
        began = loop.time()
        try:
            yield
        finally:
            self._run_s += _WEIGHT * (loop.time() - began - self._run_s)
            self._hand_over()

    def wait_s(self) -> int:
        """Seconds, at least 1, after which a place in the queue is likely."""
        return max(1, math.ceil(self._run_s * (len(self._waiting) + 1) / self.capacity))

    def _hand_over(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken -= 1
