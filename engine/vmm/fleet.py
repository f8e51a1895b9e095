"""All live VMs of this engine: who started them, and their certain end. What they use is sampled elsewhere.

The fleet owns every VM: it is handed out only inside ``async with``, and whatever way that body ends the VM is
destroyed. ``close`` ends what is left.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from engine.errors import InternalError
from engine.guestlink.dial import dial
from engine.guestlink.guest import Guest
from engine.guestlink.stream import Traffic
from engine.models import Vm, VmState
from engine.vmm.base import MachineState, RunningVm, Vmm, VmSpec


@dataclass(frozen=True, slots=True)
class VmPurpose:
    """Why a VM exists, for those who look at it."""

    purpose: str
    language: str | None = None
    image: str | None = None
    snapshot: str | None = None
    trace_id: str | None = None


@dataclass(slots=True)
class LiveVm:
    """A VM of the fleet. ``killed`` tells its user that an operator ended it."""

    vm: RunningVm
    vmm: Vmm
    spec: VmSpec
    purpose: VmPurpose
    state: VmState = VmState.STARTING
    killed: bool = False
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    born_s: float = field(default_factory=time.monotonic)
    traffic: Traffic = field(default_factory=Traffic)
    guest: Guest | None = None

    @property
    def id(self) -> str:
        return self.vm.id

    @asynccontextmanager
    async def dial(self) -> AsyncGenerator[Guest]:
        """Its guest, whose traffic counts, and whom those who look at this VM may ask meanwhile."""
        async with dial(self.vm, self.traffic) as guest:
            self.guest = guest
            try:
                yield guest
            finally:
                self.guest = None

    def as_it_is(self) -> Vm:
        """Without what must be sampled."""
        confinement = self.vmm.confinement
        return Vm(
            id=self.id,
            vmm=self.vmm.name,
            accelerator=self.vmm.accelerator,
            pid=self.vm.pid,
            state=self.state,
            purpose=self.purpose.purpose,
            language=self.purpose.language,
            image=self.purpose.image,
            snapshot=self.purpose.snapshot,
            trace_id=self.purpose.trace_id,
            memory_mib=self.spec.memory_mib,
            vcpus=self.spec.vcpus,
            started=self.started,
            age_s=time.monotonic() - self.born_s,
            link_in_bytes=self.traffic.in_bytes,
            link_out_bytes=self.traffic.out_bytes,
            jailed=confinement.jailed,
            jail=confinement.text,
        )


class Fleet:
    """Starts VMs of one VMM and owns them."""

    def __init__(self, vmm: Vmm) -> None:
        self.vmm = vmm
        self._live: dict[str, LiveVm] = {}
        self._starting: set[asyncio.Future[None]] = set()
        self._closed = False

    @asynccontextmanager
    async def boot(self, spec: VmSpec, purpose: VmPurpose, *, saveable: bool = False) -> AsyncGenerator[LiveVm]:
        """A cold machine; not yet connected to."""
        async with self._owned(spec, purpose, lambda vm_id: self.vmm.boot(vm_id, spec, saveable=saveable)) as live:
            yield live

    @asynccontextmanager
    async def restore(self, saved: MachineState, purpose: VmPurpose) -> AsyncGenerator[LiveVm]:
        """A clone of a saved machine."""
        async with self._owned(saved.spec, purpose, lambda vm_id: self.vmm.restore(vm_id, saved)) as live:
            yield live

    @asynccontextmanager
    async def _owned(
        self, spec: VmSpec, purpose: VmPurpose, start: Callable[[str], Awaitable[RunningVm]]
    ) -> AsyncGenerator[LiveVm]:
        if self._closed:
            raise InternalError("The engine is closing and starts no more VMs")
        starting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._starting.add(starting)
        try:
            vm = await start(secrets.token_hex(6))
            live = LiveVm(vm, self.vmm, spec, purpose)
            self._live[vm.id] = live
        finally:
            self._starting.discard(starting)
            starting.set_result(None)
        try:
            yield live
        finally:
            live.state = VmState.STOPPING
            try:
                await vm.destroy()
            finally:
                self._live.pop(vm.id, None)

    @property
    def live(self) -> list[LiveVm]:
        """All that have been started and not ended, oldest first."""
        return sorted(self._live.values(), key=lambda entry: entry.started)

    @property
    def purposes(self) -> dict[str, VmPurpose]:
        """Why each live VM exists, by its id; looks at nothing of the host."""
        return {vm_id: live.purpose for vm_id, live in self._live.items()}

    @property
    def idle(self) -> bool:
        """Without a VM, live or on its way: all it ever had has ended."""
        return not self._live and not self._starting

    async def kill(self, vm_id: str) -> bool:
        """End a VM from outside; who uses it sees ``killed``. False where it is none of this fleet."""
        live = self._live.get(vm_id)
        if live is None:
            return False
        live.killed, live.state = True, VmState.STOPPING
        await live.vm.destroy()
        return True

    async def close(self) -> None:
        """End every VM; none starts afterwards. What could not be ended is raised after all others are."""
        self._closed = True
        if self._starting:
            await asyncio.wait(self._starting)
        ends = await asyncio.gather(*(live.vm.destroy() for live in list(self._live.values())), return_exceptions=True)
        for failure in filter(None, ends):
            raise failure
