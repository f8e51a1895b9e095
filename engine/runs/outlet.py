"""Events of a run on their way to its caller: bounded, so that a slow caller slows the guest and not fills memory."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable

from engine.models import RunEvent

_WAITING_MAX = 64


class Outlet:
    """``post`` never waits (stages: few and small); ``send`` waits while the caller is behind (output)."""

    def __init__(self) -> None:
        self._events: deque[RunEvent] = deque()
        self._changed = asyncio.Condition()
        self._wake = asyncio.Event()

    def post(self, event: RunEvent) -> None:
        self._events.append(event)
        self._wake.set()

    async def send(self, event: RunEvent) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._events) < _WAITING_MAX)
        self.post(event)

    async def follow(self, work: Awaitable[None]) -> AsyncGenerator[RunEvent]:
        """Events of ``work`` until it ends; raises what it raised. Closing it cancels the work and waits for it."""
        task = asyncio.ensure_future(work)
        task.add_done_callback(lambda _: self._wake.set())
        try:
            while True:
                while self._events:
                    event = self._events.popleft()
                    async with self._changed:
                        self._changed.notify_all()
                    yield event
                if task.done() and not self._events:
                    await task
                    return
                self._wake.clear()
                if not self._events and not task.done():
                    await self._wake.wait()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
