"""The engine's side of each measurement, through the same calls that runs are made of."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from engine.engine import Engine
from engine.guestlink.dial import dial, first_answer
from engine.guestlink.guest import Guest, Program
from engine.guestlink.messages import Output
from engine.models import BootMode, RunEvent, RunRequest
from engine.settings import Settings
from engine.vmm.fleet import Fleet, LiveVm, VmPurpose
from tests.benchmarks import case
from tests.benchmarks.case import Case

PURPOSE = VmPurpose("bench")
_DEADLINE_S = 60.0


class NoOutputError(Exception):
    """The program ended without the output that its time is taken by."""


async def first_output_ms(engine: Engine, boot: BootMode) -> float:
    """From the request to the first byte that its caller gets."""
    began = time.perf_counter()
    first = None
    async with aclosing(engine.stream(case.request(boot))) as events:
        async for event in events:
            if event.kind == "stdout" and first is None:
                first = time.perf_counter()
    if first is None:
        raise NoOutputError
    return (first - began) * 1000


async def boot_ms(fleet: Fleet, subject: Case) -> float:
    """From the start of a cold machine to its agent's hello."""
    began = time.perf_counter()
    async with fleet.boot(subject.cold, PURPOSE) as live, dial(live.vm) as guest:
        await first_answer(live.vm, guest.hello(_DEADLINE_S), "Booting")
        return (time.perf_counter() - began) * 1000


@asynccontextmanager
async def clone(fleet: Fleet, subject: Case) -> AsyncGenerator[tuple[LiveVm, Guest]]:
    """A restored VM that has confirmed its resync and has run nothing."""
    async with fleet.restore(subject.saved, PURPOSE) as live, dial(live.vm) as guest:
        await first_answer(live.vm, guest.resync(live.id, _DEADLINE_S), "Restoring")
        yield live, guest


async def run_ms(guest: Guest, program: Program) -> float:
    """Run a program in a guest to its end; from the request to its first output."""
    began = time.perf_counter()
    first = None
    async with aclosing(guest.execute(program, (), start_deadline_s=_DEADLINE_S, grace_s=5)) as messages:
        async for message in messages:
            if isinstance(message, Output) and first is None:
                first = time.perf_counter()
    if first is None:
        raise NoOutputError
    return (first - began) * 1000


@dataclass(slots=True)
class Stopwatch:
    """Seconds spent waiting for the engine."""

    spent_s: float = 0.0


class TimedEngine(Engine):
    """An engine that knows how long the latest call to ``stream`` kept its caller waiting."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.watch = Stopwatch()

    async def stream(self, request: RunRequest) -> AsyncGenerator[RunEvent]:
        self.watch = watch = Stopwatch()
        async with aclosing(super().stream(request)) as events:
            while True:
                began = time.perf_counter()
                event = await anext(events, None)
                watch.spent_s += time.perf_counter() - began
                if event is None:
                    return
                yield event
