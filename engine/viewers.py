"""Who needs an engine. Each viewer hears who the engine is at once, and again every BEAT_S seconds until it closes.

An engine that is only there for those who need it ends by ``until_needless``: a console that was killed no longer
follows, and whoever only makes a call needs it until that is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from engine.models import EngineIdentity

BEAT_S = 5.0
_LOOK_AGAIN_S = 0.25


class Viewers:
    """The viewers of one engine."""

    def __init__(self, identity: EngineIdentity) -> None:
        self.identity = identity
        self._needed_by = 0
        self._left = 0
        self._alone = asyncio.Event()
        self._alone.set()
        self._closed = asyncio.Event()

    def close(self) -> None:
        """End what all viewers follow."""
        self._closed.set()

    async def follow(self) -> AsyncGenerator[EngineIdentity]:
        """Counts as a viewer from the first value until it is closed; ends with the engine."""
        with self.need():
            while not self._closed.is_set():
                yield self.identity.model_copy(update={"now": datetime.now(UTC)})
                await _set_within(self._closed, BEAT_S)

    @contextmanager
    def need(self) -> Generator[None]:
        """The engine is needed while the block runs."""
        self._needed_by += 1
        self._alone.clear()
        try:
            yield
        finally:
            self._needed_by -= 1
            self._left += 1
            if not self._needed_by:
                self._alone.set()

    async def until_needless(self, busy: Callable[[], bool], grace_s: float) -> None:
        """Return once nobody has needed the engine, and ``busy`` has said no, for ``grace_s`` seconds on end."""
        loop = asyncio.get_running_loop()
        needed_at, left = loop.time(), self._left
        while loop.time() - needed_at < grace_s:
            await asyncio.sleep(min(_LOOK_AGAIN_S, grace_s))  # what keeps it busy has no one event to wait for
            await self._alone.wait()
            if self._left != left or busy():
                needed_at, left = loop.time(), self._left


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
