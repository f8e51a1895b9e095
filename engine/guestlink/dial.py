"""From a started VM to a guest that answers, with the reason where there is none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from engine.errors import InternalError, OutcomeUnknownError
from engine.guestlink.guest import Guest, Service
from engine.guestlink.stream import CountedStream, Traffic
from engine.vmm.base import RunningVm

_T = TypeVar("_T")
_LAST_WORDS_S = 1.0
_SERIAL_SHOWN = 600
# What the kernel adds where the guest's first process gave up: registers and a stack that nobody asked for.
_AFTERMATH = "Kernel panic - not syncing: Attempted to kill init"
# What the agent calls the end of each stage of its boot, and what we call the stage.
_STAGES = {"init": "kernel", "modules": "modules", "image": "image", "agent": "agent"}


@asynccontextmanager
async def dial(vm: RunningVm, traffic: Traffic | None = None) -> AsyncGenerator[Guest]:
    """The guest of a VM, closed at the end. Nothing has been exchanged yet. ``traffic`` counts what will be."""
    guest = Guest(CountedStream(await vm.connect(), traffic or Traffic()))
    try:
        yield guest
    finally:
        await guest.close()


async def greeted(vm: RunningVm, guest: Guest, deadline_s: float, *, cold: bool) -> None:
    """The agent's hello, where it greets. Of a ``cold`` boot it tells the stages. Raises InternalError."""
    if not vm.greets:
        return
    doing = "Booting the microVM" if cold else "Restoring the microVM"
    hello = await first_answer(vm, guest.hello(deadline_s), doing)
    if cold:
        stages = [(_STAGES[name], ms) for name, ms in hello.boot_ms.items() if name in _STAGES]
        vm.stopwatch.mark_guest(stages, before="machine", rest="kernel")
    else:
        vm.stopwatch.mark("hello")


async def resynced(vm: RunningVm, guest: Guest, deadline_s: float, *, doing: str) -> None:
    """The guest is a new one, with the VM's id as its identity. Raises InternalError."""
    await first_answer(vm, guest.resync(vm.id, deadline_s), doing)
    vm.stopwatch.mark("resync")


async def served(vm: RunningVm, guest: Guest, service: Service) -> None:
    """The server runs and answers. Raises InternalError, NotReadyError."""
    await first_answer(vm, guest.serve(service), f"Starting {service.start[0]}")
    vm.stopwatch.mark("server")


async def first_answer(vm: RunningVm, answer: Awaitable[_T], doing: str) -> _T:
    """Await a guest's first answer. No user code has run, so a loss here is a failed start: raises InternalError
    with what the VMM and the guest's console last said."""
    try:
        return await answer
    except OutcomeUnknownError as error:
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                ended = await vm.exited()
        except TimeoutError:
            ended = "the VMM still runs"
        console = vm.serial.text().rpartition(_AFTERMATH)
        words = (console[0] or console[2]).strip()[-_SERIAL_SHOWN:]
        raise InternalError(
            f"{doing} failed: {error.message} ({ended})",
            remedy=f"Last words of the guest's console: {words}" if words else "Run vmdeck doctor",
            vm=vm.id,
        ) from error
