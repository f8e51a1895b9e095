"""A guest for one run: restored from a snapshot where one fits, else booted; always destroyed afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from engine.errors import InputError, InternalError, VmdeckError
from engine.guestlink.dial import greeted, resynced, served
from engine.guestlink.guest import Guest, Service
from engine.models import VmState
from engine.settings import Settings
from engine.vmm.base import MachineState, VmSpec
from engine.vmm.fleet import Fleet, LiveVm, VmPurpose

Boot = Literal["snapshot", "cold"]


class ReplacedError(Exception):
    """Image or snapshot was made anew while the VM started from it, so it may have seen parts of both; no code ran."""


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Start:
    """How a run's VM starts: from a saved machine, or cold from a spec; and why not warmer.

    ``service`` is to be started in it before the run: a saved machine has it running.
    ``current`` tells whether image and snapshot are still those that it was planned with.
    """

    spec: VmSpec
    saved: MachineState | None
    snapshot: str | None
    reason: str
    own_kernel: str | None = None
    current: Callable[[], bool] = _always
    service: Service | None = None

    @property
    def boot(self) -> Boot:
        return "snapshot" if self.saved else "cold"


@dataclass(frozen=True, slots=True)
class Lease:
    """A guest that has confirmed its new time, entropy and identity. ``restore_ms`` has the start of a server in it."""

    guest: Guest
    live: LiveVm
    restore_ms: float
    resync_ms: float


@asynccontextmanager
async def lease(
    fleet: Fleet, settings: Settings, start: Start, purpose: VmPurpose, stage: Callable[[str, str | None], None]
) -> AsyncGenerator[Lease]:
    """``stage`` hears what is being waited for, with the VM's id once there is one.

    Raises InternalError, ReplacedError.
    """
    leased = False
    try:
        async with _started(fleet, settings, start, purpose, stage) as held:
            if not start.current():
                raise ReplacedError
            leased = True
            yield held
    except VmdeckError as error:
        if leased or start.current():
            raise
        raise ReplacedError from error


@asynccontextmanager
async def _started(
    fleet: Fleet, settings: Settings, start: Start, purpose: VmPurpose, stage: Callable[[str, str | None], None]
) -> AsyncGenerator[Lease]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    stage("restoring" if start.saved else "booting", None)
    opened = fleet.restore(start.saved, purpose) if start.saved else fleet.boot(start.spec, purpose)
    async with opened as live, live.dial() as guest:
        try:
            await greeted(live.vm, guest, settings.boot_deadline_s, cold=start.saved is None)
        except InternalError as error:
            if start.own_kernel is None:
                raise
            raise InputError(
                f"The kernel {start.own_kernel} does not boot: {error.message}", remedy=error.remedy
            ) from error
        restored = loop.time()
        stage("resyncing", live.id)
        doing = "Restoring the microVM" if start.saved else "Setting up the microVM"
        await resynced(live.vm, guest, settings.restore_deadline_s, doing=doing)
        confirmed = loop.time()
        if start.service:
            stage("starting server", live.id)
            await served(live.vm, guest, start.service)
        ready = loop.time()
        live.state = VmState.READY
        yield Lease(guest, live, (ready - confirmed + restored - began) * 1000, (confirmed - restored) * 1000)
