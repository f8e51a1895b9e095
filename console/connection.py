"""The console's connection to an engine: opened after the first paint, watched, and opened again when it is lost.

The engine's own stream of its identity is what is watched: its end or its silence is the loss. One task owns all of
it, so that no screen that comes or goes, and no cancelled worker, can close it by accident.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol, TypeVar

from engine.api import EngineApi
from engine.errors import InternalError, NotReadyError, VmdeckError

if TYPE_CHECKING:
    from engine.models import EngineIdentity

SILENT_AFTER_S = 11.0
"""Two heartbeats of the engine, which come every 5 seconds, and some delay on the way."""

RETRY_AFTER_S = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Between the tries to come back; the last one from then on, for ever."""

_STABLE_AFTER_S = 10.0
_NOTICED_WITHIN_S = 1.0
Event = TypeVar("Event")
Answer = TypeVar("Answer")


class EngineFactory(Protocol):
    """Opens a way to the engine. ``tell`` hears what an opening waits for; ``may_start`` allows to start an engine
    where none answers. What entering raises ends the tries; that the engine does not answer shows when it is asked."""

    def __call__(self, tell: Callable[[str], None], *, may_start: bool) -> AbstractAsyncContextManager[EngineApi]: ...


class ConnectionState(StrEnum):
    CLOSED = "closed"
    STARTING = "starting"
    OPEN = "open"
    LOST = "lost"
    FAILED = "failed"


_NEXT: Mapping[ConnectionState, frozenset[ConnectionState]] = {
    ConnectionState.CLOSED: frozenset({ConnectionState.STARTING}),
    ConnectionState.STARTING: frozenset({ConnectionState.OPEN, ConnectionState.FAILED, ConnectionState.CLOSED}),
    ConnectionState.OPEN: frozenset({ConnectionState.LOST, ConnectionState.FAILED, ConnectionState.CLOSED}),
    ConnectionState.LOST: frozenset({ConnectionState.OPEN, ConnectionState.FAILED, ConnectionState.CLOSED}),
    ConnectionState.FAILED: frozenset({ConnectionState.STARTING, ConnectionState.CLOSED}),
}
"""Lost is tried again by itself, failed when the operator says so."""


class Connection:
    """All methods belong to the event loop's thread. ``on_change`` is called after each change of the state."""

    def __init__(self, factory: EngineFactory) -> None:
        self._factory = factory
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._retry = asyncio.Event()
        self._may_start = True
        self._api: EngineApi | None = None
        self.state = ConnectionState.CLOSED
        self.since = time.monotonic()
        self.identity: EngineIdentity | None = None
        self.clock_ahead = timedelta()
        """Of the engine's clock, by its last beat; the time that the beat took on its way is in it."""
        self.error: BaseException | None = None
        self.words = ""
        self.on_change: Callable[[], None] = lambda: None

    @property
    def api(self) -> EngineApi | None:
        """The open engine, or None while it is not."""
        return self._api

    # --- for screens

    async def opened(self) -> EngineApi:
        """The engine; waits while it starts. Raises what its opening raised, NotReadyError while it is lost."""
        while True:
            if self._api is not None:
                return self._api
            if self.state is ConnectionState.FAILED and self.error is not None:
                raise self.error
            if self.state is ConnectionState.LOST:
                raise NotReadyError(
                    "There is no connection to the engine now, so nothing was asked of it",
                    remedy="Ask again once it is back. It is tried again by itself; R tries at once",
                )
            await self._changed.wait()

    async def until_open(self) -> EngineApi:
        """Wait for the engine, however long it is starting, lost, or failed."""
        while self._api is None:
            await self._changed.wait()
        return self._api

    async def until_not(self, api: EngineApi) -> None:
        """Wait until this engine is not the open one any more."""
        while self._api is api:
            await self._changed.wait()

    async def resumed(
        self,
        follow: Callable[[EngineApi, int], AsyncGenerator[Event]],
        position: Callable[[Event], int],
        *,
        after: int = 0,
    ) -> AsyncGenerator[Event]:
        """The events of ``follow(api, after)``, which goes on after the last one's position when a lost engine is back.

        Raises what the engine raises while it is there.
        """
        while True:
            api = await self.until_open()
            lost = asyncio.create_task(self.until_not(api))
            try:
                async with aclosing(follow(api, after)) as events:
                    async for event in _before(lost, events):
                        after = position(event)
                        yield event
                if not lost.done():
                    return
            except VmdeckError:
                if not await _noticed(lost):
                    raise
            finally:
                lost.cancel()

    async def answer(self, api: EngineApi, question: Awaitable[Answer]) -> Answer | None:
        """What this engine answers; None where it is lost meanwhile. Raises what it raises while it is there."""
        asked = asyncio.ensure_future(question)
        lost = asyncio.create_task(self.until_not(api))
        try:
            await asyncio.wait({asked, lost}, return_when=asyncio.FIRST_COMPLETED)
            return asked.result() if asked.done() else None
        except VmdeckError:
            if not await _noticed(lost):
                raise
            return None
        finally:
            asked.cancel()
            lost.cancel()

    # --- for the app

    def start(self) -> None:
        """Open the engine; where it is lost, try at once, and start one where none answers."""
        self._may_start = True
        self._retry.set()
        if self._task is None:
            self._become(ConnectionState.STARTING)
            self._task = asyncio.create_task(self._keep(), name="connection")

    async def close(self, deadline_s: float | None = None) -> bool:
        """Leave the engine; False where that did not end by the deadline."""
        task = self._task
        if task is None:
            return True
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=deadline_s)
        return bool(done)

    # --- the task

    async def _keep(self) -> None:
        end, error = ConnectionState.CLOSED, None
        try:
            await self._open_again_and_again()
        except Exception as failure:  # noqa: BLE001  whatever it is, it is shown, and the operator may try again
            end, error = ConnectionState.FAILED, failure
        finally:
            self._task = None
            self._become(end, error)

    async def _open_again_and_again(self) -> None:
        tries = 0
        while True:
            self._retry.clear()
            self.words = ""
            async with self._factory(self._say, may_start=self._may_start) as api:
                error = await self._watch(api)
                if self.state is ConnectionState.STARTING:
                    raise error
                if self.state is ConnectionState.OPEN:
                    # A daemon comes back by itself, and must find its data folder free. An engine of ours does not.
                    self._may_start = self.identity is not None and self.identity.serves == "console"
                    tries = tries if time.monotonic() - self.since < _STABLE_AFTER_S else 0
                self._become(ConnectionState.LOST, error)
            await self._retried_within(RETRY_AFTER_S[min(tries, len(RETRY_AFTER_S) - 1)])
            tries += 1

    async def _watch(self, api: EngineApi) -> BaseException:
        """Follow the engine; what ended that."""
        async with aclosing(api.attach()) as beats:
            while True:
                try:
                    async with asyncio.timeout(SILENT_AFTER_S):
                        identity = await anext(beats)
                except StopAsyncIteration:
                    return _lost("it has ended")
                except TimeoutError:
                    return _lost("it is silent")
                except VmdeckError as error:
                    return error if self._api is None else _lost("its process, its host or the way there is gone")
                if identity.now is not None:
                    self.clock_ahead = identity.now - datetime.now(UTC)
                if self._api is None:
                    self._api, self.identity = api, identity
                    self._become(ConnectionState.OPEN)

    async def _retried_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):  # wait_for may swallow a cancellation
                await self._retry.wait()

    def _say(self, words: str) -> None:
        self.words = words
        self._tell()

    def _become(self, state: ConnectionState, error: BaseException | None = None) -> None:
        """Raises InternalError where the table has no such change."""
        if state is not self.state and state not in _NEXT[self.state]:
            raise InternalError(f"A connection can't go from {self.state} to {state}")
        if state is not self.state:
            self.since = time.monotonic()
        if state is not ConnectionState.OPEN:
            self._api = None
        self.state, self.error = state, error
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self.on_change()


async def _noticed(lost: asyncio.Task[None]) -> bool:
    """Whether the engine is lost; the connection may notice that a little later than a call."""
    done, _ = await asyncio.wait({lost}, timeout=_NOTICED_WITHIN_S)
    return bool(done)


def _lost(why: object) -> NotReadyError:
    return NotReadyError(f"The connection to the engine is lost: {why}", remedy="What is shown here is how it was.")


async def _before(end: asyncio.Task[None], events: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
    """The events that come before ``end`` is done."""
    while not end.done():
        step = asyncio.ensure_future(anext(events))
        try:
            await asyncio.wait({step, end}, return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                return
            yield step.result()
        except StopAsyncIteration:
            return
        finally:
            if not step.done():
                step.cancel()
                await asyncio.wait({step})
