"""One run from the console's side: takes the engine's events as they come and keeps what is worth showing.

It draws nothing; the scratchpad looks at it a few times a second. Floods cost no more than the log's bounds, and the
event loop gets its turn at least every few milliseconds however fast events arrive.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from enum import StrEnum

from console.failure import Failure
from console.output_log import OutputLog
from engine.api import EngineApi
from engine.errors import VmdeckError
from engine.models import RunEvent, RunRequest, RunResult

_TURN_S = 0.008


class Phase(StrEnum):
    IDLE = "idle"
    GOING = "going"
    CANCELLING = "cancelling"
    ENDED = "ended"


class LiveRun:
    """The newest run: ``stage`` in the engine's words, ``log`` of both streams, then ``result`` or ``failure``."""

    def __init__(self, log: OutputLog) -> None:
        self.log = log
        self.phase = Phase.IDLE
        self.stage = ""
        self.started = 0.0
        self.result: RunResult | None = None
        self.failure: Failure | None = None
        self.cancelled = False

    @property
    def busy(self) -> bool:
        return self.phase in (Phase.GOING, Phase.CANCELLING)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started

    async def follow(self, api: EngineApi, request: RunRequest) -> None:
        """Run to the end. Cancelling this ends the run and its VM."""
        self.log.clear()
        self.phase = Phase.GOING
        self.stage = "sent"
        self.started = time.monotonic()
        self.result = self.failure = None
        self.cancelled = False
        try:
            async with aclosing(api.stream(request)) as events:
                await self._take(events)
        except VmdeckError as error:
            self.failure = Failure.of(error)
            for text in (self.failure.message, self.failure.remedy):
                self.log.line("note", text)
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        finally:
            self.phase = Phase.ENDED

    async def _take(self, events: AsyncGenerator[RunEvent, None]) -> None:
        turn_began = time.monotonic()
        async for event in events:
            self._add(event)
            if time.monotonic() - turn_began > _TURN_S:
                await asyncio.sleep(0)  # a generator that never waits would keep the loop from painting
                turn_began = time.monotonic()

    def _add(self, event: RunEvent) -> None:
        match event.kind:
            case "stdout" | "stderr":
                self.log.write(event.kind, event.text)
            case "queued":
                self.stage = "queued"
            case "stage":
                self.stage = event.text
            case "result":
                self.result = event.result
