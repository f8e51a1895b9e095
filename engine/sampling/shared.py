"""A question that is under way at most once: whoever asks meanwhile waits for the same answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Shared:
    """``ask`` raises nothing, and takes its time even where all who wait for it are cancelled."""

    def __init__(self, ask: Callable[[], Awaitable[None]]) -> None:
        self._ask = ask
        self._asking: asyncio.Task[None] | None = None

    async def asked(self) -> None:
        if self._asking is None or not self.asking:
            self._asking = asyncio.create_task(self._once())
        await asyncio.shield(self._asking)

    @property
    def asking(self) -> bool:
        return self._asking is not None and not self._asking.done()

    async def settled(self) -> None:
        """Return when it is not under way."""
        if self._asking is not None:
            await asyncio.wait((self._asking,))

    async def _once(self) -> None:
        await self._ask()
