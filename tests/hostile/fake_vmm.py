"""A VMM whose machines are fake agents: everything above it is real."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from pathlib import Path

from engine.errors import InternalError
from engine.guestlink.stream import SocketStream
from engine.models import Figure
from engine.vmm.base import Confinement, MachineState, VmmCounters, VmSpec, VmUsage
from engine.vmm.stopwatch import Stopwatch
from engine.vmm.tail import Tail

ROOT = Path(__file__).parents[2]


class FakeVm:
    """A process of fake_agent.py and the host's end of its wire."""

    def __init__(self, vm_id: str, lie: str, *, greets: bool = False) -> None:
        self.id = vm_id
        self.greets = greets
        self.serial = Tail(0, 0)
        self.stopwatch = Stopwatch()
        self._lie = lie
        self._process: asyncio.subprocess.Process | None = None
        self._socket: socket.socket | None = None
        self.destroyed = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.hostile.fake_agent", str(theirs.fileno()), self._lie),
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
            )

    async def connect(self) -> SocketStream:
        assert self._socket is not None
        return await SocketStream.open(self._socket)

    async def exited(self) -> str:
        assert self._process is not None
        return f"the fake agent ended with {await self._process.wait()}"

    def usage(self) -> VmUsage | None:
        return None

    def limits(self) -> tuple[Figure, ...]:
        return ()

    async def counters(self, deadline_s: float) -> VmmCounters:
        raise InternalError("a fake counts nothing")

    async def destroy(self) -> None:
        self.destroyed += 1
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


class FakeVmm:
    """Starts machines that tell one lie."""

    name = "fake"
    accelerator = "none"
    confinement = Confinement(False, "a fake")

    def __init__(self, lie: str) -> None:
        self._lie = lie
        self.vms: list[FakeVm] = []

    async def boot(self, vm_id: str, spec: VmSpec, *, saveable: bool = False) -> FakeVm:
        return await self._start(vm_id, greets=True)

    async def restore(self, vm_id: str, saved: MachineState) -> FakeVm:
        return await self._start(vm_id, greets=False)

    async def _start(self, vm_id: str, *, greets: bool) -> FakeVm:
        vm = FakeVm(vm_id, self._lie, greets=greets)
        await vm.start()
        self.vms.append(vm)
        return vm
