"""What came of running a buffer: one run, a batch of one per input, or one per boot mode to compare."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from console.failure import Failure
from console.live_run import LiveRun, Phase
from console.output_log import MAX_CHARS, OutputLog
from engine.api import EngineApi
from engine.errors import VmdeckError

if TYPE_CHECKING:
    from engine.models import RunEvent, RunRequest

Kind = Literal["run", "batch", "compare"]
BOOT_MODES = ("cold", "snapshot")
_TURN_S = 0.008
_LEAST_CHARS = 16 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """One request to the engine, and the runs that come of it: one, or one per item of a batch."""

    request: RunRequest
    runs: tuple[LiveRun, ...]


class Outcome:
    """``request`` is what the operator asked for; ``parts`` are sent one after the other."""

    def __init__(self, kind: Kind, request: RunRequest, parts: tuple[Part, ...]) -> None:
        self.kind: Kind = kind
        self.request = request
        self.parts = parts
        self.phase = Phase.IDLE
        self._started = 0.0
        self._took_s = 0.0

    @classmethod
    def single(cls, request: RunRequest) -> Outcome:
        return cls("run", request, (Part(request, (LiveRun(),)),))

    @classmethod
    def batch(cls, request: RunRequest) -> Outcome:
        """``request.stdin`` is a tuple. All items together keep no more output than one run may."""
        items = request.stdin if isinstance(request.stdin, tuple) else ()
        room = max(_LEAST_CHARS, MAX_CHARS // max(1, len(items)))
        runs = tuple(LiveRun(str(number), OutputLog(max_chars=room)) for number, _ in enumerate(items, 1))
        return cls("batch", request, (Part(request, runs),))

    @classmethod
    def comparison(cls, request: RunRequest) -> Outcome:
        """Cold first, then from a snapshot: the one that the request names, else any that fits."""
        parts = tuple(
            Part(request.model_copy(update={"boot": mode} | _without(mode)), (LiveRun(mode),)) for mode in BOOT_MODES
        )
        return cls("compare", request, parts)

    @property
    def runs(self) -> tuple[LiveRun, ...]:
        return tuple(run for part in self.parts for run in part.runs)

    @property
    def busy(self) -> bool:
        return self.phase in (Phase.GOING, Phase.CANCELLING)

    @property
    def cancelled(self) -> bool:
        return any(run.cancelled for run in self.runs)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started if self.busy else self._took_s

    async def follow(self, api: EngineApi) -> None:
        """Run to the end. Cancelling this ends what runs, and its VMs; a failure is kept with its runs, not raised."""
        self.phase = Phase.GOING
        self._started = time.monotonic()
        try:
            for part in self.parts:
                await self._follow_part(api, part)
        except asyncio.CancelledError:
            for run in self.runs:
                if run.phase is not Phase.ENDED:
                    run.cancel()
            raise
        finally:
            self._took_s = time.monotonic() - self._started
            self.phase = Phase.ENDED

    async def _follow_part(self, api: EngineApi, part: Part) -> None:
        try:
            async with aclosing(api.stream(part.request)) as events:
                await _take(part, events)
        except VmdeckError as error:
            for run in part.runs:
                if run.result is None:
                    run.fail(Failure.of(error))
        for run in part.runs:
            run.phase = Phase.ENDED


async def _take(part: Part, events: AsyncGenerator[RunEvent, None]) -> None:
    turn_began = time.monotonic()
    async for event in events:
        part.runs[event.item].take(event)
        if time.monotonic() - turn_began > _TURN_S:
            await asyncio.sleep(0)  # a generator that never waits would keep the loop from painting
            turn_began = time.monotonic()


def _without(mode: str) -> dict[str, None]:
    """What a request for another boot mode may name, and one for this mode may not."""
    return {"snapshot": None} if mode == "cold" else {"kernel": None}
