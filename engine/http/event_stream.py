"""Server-sent events: an engine's iterator as a response that ends the work when its reader leaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine import problem
from engine.errors import InternalError, VmdeckError
from engine.http.attended import ClientGone, attended

logger = logging.getLogger(__name__)
E = TypeVar("E")

KEEPALIVE_S = 15.0  # proxies commonly drop a silent connection after 30 to 60 s


@dataclass(frozen=True, slots=True)
class SentEvent:
    """One event: ``data`` is JSON on one line, ``id`` what to resume after; ``headers`` go with the first."""

    name: str
    data: bytes
    id: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def encode(self) -> bytes:
        identity = b"" if self.id is None else b"id: %d\n" % self.id
        return b"event: %s\n%sdata: %s\n\n" % (self.name.encode(), identity, self.data)


class EventStream(Response, Generic[E]):
    """Streams ``events``, each as ``render`` gives it.

    What fails before the first event is raised, so it gets its own HTTP status; what fails later is sent as an event
    ``error`` with the problem document. The body's end marker is only sent after the last event or that error, so a
    reader can tell an end from a loss. ``stopped`` is the error of a stream that the stopping server ends.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[E],
        render: Callable[[E], SentEvent],
        *,
        stopping: asyncio.Event,
        stopped: VmdeckError,
    ) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._render = render
        self._stopping = stopping
        self._stopped = stopped
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await attended(self._pump(send), receive, self._stopping, self._stopped)
            last = b"" if self._begun else None
        except ClientGone:
            return
        except VmdeckError as error:
            if not self._begun:
                raise
            last = _error_event(error)
        except Exception as error:
            if not self._begun:
                raise
            logger.exception("a stream failed after it had begun")
            last = _error_event(InternalError(f"Unexpected {type(error).__name__}", remedy="See the server's log"))
        if last is None:
            await self._begin(send, {})
        await send({"type": "http.response.body", "body": last or b"", "more_body": False})

    async def _pump(self, send: Send) -> None:
        beating: asyncio.Task[None] | None = None
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    sent = self._render(event)
                    if beating is None:
                        await self._begin(send, sent.headers)
                        beating = asyncio.create_task(_beat(send))
                    await send({"type": "http.response.body", "body": sent.encode(), "more_body": True})
        finally:
            if beating is not None:
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)

    async def _begin(self, send: Send, headers: Mapping[str, str]) -> None:
        self.headers.update(headers)
        self._begun = True
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})


async def _beat(send: Send) -> None:
    while True:
        await asyncio.sleep(KEEPALIVE_S)
        await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})


def _error_event(error: VmdeckError) -> bytes:
    return SentEvent("error", problem.from_error(error).json()).encode()
