"""The engine behind the console: opened after the first paint, closed when the console ends.

The engine's context is entered and left by one task of its own, as its locks and task groups need, so no screen that
comes or goes, and no cancelled worker, can close it by accident.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from enum import StrEnum

from engine.api import EngineApi
from engine.errors import InternalError

EngineFactory = Callable[[], AbstractAsyncContextManager[EngineApi]]


class ConnectionState(StrEnum):
    CLOSED = "closed"
    STARTING = "starting"
    OPEN = "open"
    FAILED = "failed"


class Connection:
    """Owns the engine's context. All methods belong to the event loop's thread."""

    def __init__(self, factory: EngineFactory) -> None:
        self._factory = factory
        self._task: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()
        self._closing = asyncio.Event()
        self._api: EngineApi | None = None
        self.error: BaseException | None = None

    @property
    def state(self) -> ConnectionState:
        if self._api is not None:
            return ConnectionState.OPEN
        if self.error is not None:
            return ConnectionState.FAILED
        return ConnectionState.STARTING if self._task is not None else ConnectionState.CLOSED

    @property
    def api(self) -> EngineApi | None:
        """The open engine, or None while it is not."""
        return self._api

    def start(self) -> None:
        """Begin to open the engine; a second call while it opens or is open does nothing."""
        if self._task is not None:
            return
        self.error = None
        self._opened.clear()
        self._closing.clear()
        self._task = asyncio.create_task(self._hold(), name="engine")
        self._task.add_done_callback(self._ended)

    async def opened(self) -> EngineApi:
        """Wait for the engine; raises what its opening raised."""
        await self._opened.wait()
        if self._api is None:
            raise self.error or InternalError("The engine was closed.")
        return self._api

    async def close(self, deadline_s: float | None = None) -> bool:
        """Leave the engine's context; False where it did not end by the deadline."""
        task = self._task
        if task is None:
            return True
        if self._api is None:
            task.cancel()
        self._closing.set()
        done, _ = await asyncio.wait({task}, timeout=deadline_s)
        return bool(done)

    async def _hold(self) -> None:
        async with self._factory() as api:
            self._api = api
            self._opened.set()
            try:
                await self._closing.wait()
            finally:
                self._api = None

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            self.error = task.exception()
        self._opened.set()
