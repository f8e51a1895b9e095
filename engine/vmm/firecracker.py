"""Firecracker as a VMM: cold boot, full snapshot, copy-on-write restore, kill; in its jail or out of it.

Every path that Firecracker is told is a name in the VM's own folder (``Quarters``), so eight clones of one snapshot
meet nowhere, and a snapshot says nothing of the host that made it. A clone maps the memory file privately.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from engine.errors import InternalError
from engine.guestlink import hybrid_vsock
from engine.guestlink.stream import SocketStream
from engine.host.firecracker_release import refuse_unfit
from engine.models import Figure
from engine.settings import Settings
from engine.vmm import firecracker_api as api
from engine.vmm import firecracker_machine as machine
from engine.vmm import memory_file
from engine.vmm.base import Confinement, MachineState, SavedState, VmmCounters, VmSpec, VmUsage
from engine.vmm.firecracker_api import FirecrackerApi
from engine.vmm.firecracker_process import FirecrackerProcess
from engine.vmm.home import VmHome
from engine.vmm.jailer import Jail
from engine.vmm.quarters import OpenQuarters, Quarters
from engine.vmm.stopwatch import Stopwatch
from engine.vmm.tail import Tail
from engine.vmm.thread import to_its_end
from guest.protocol import AGENT_PORT

MACHINE = "firecracker"

_HOST_CPU = "host"
_CONSOLE_SHOWN = 600
_UNCONFINED = Confinement(False, "off by settings: only Firecracker's own seccomp filter")


class Jails(Protocol):
    """Where jailed VMs live: ``JailPolicy``, but for tests."""

    @property
    def confinement(self) -> Confinement: ...

    def for_vm(self, vm_id: str, spec: VmSpec, *, saveable: bool = False) -> Jail:
        """Not prepared yet. Raises NotReadyError, BusyError."""
        ...


class Firecracker:
    """Starts Firecracker processes. One per engine; the VMs belong to whoever called ``boot`` or ``restore``."""

    name = "firecracker"
    accelerator = "kvm"

    def __init__(
        self, settings: Settings, binary: Path, version: str, *, cpu_template: str = "", jails: Jails | None = None
    ) -> None:
        """Without ``jails`` the processes run as the engine's user, unconfined but for Firecracker's own seccomp.

        ``cpu_template`` is one of Firecracker's static ones, as "T2"; empty gives the guest the host's CPU.
        Raises NotReadyError for a version that is not fit.
        """
        refuse_unfit(version)
        self._settings = settings
        self._binary = binary
        self._version = version
        self._cpu_template = cpu_template
        self._jails = jails

    async def version(self) -> str:
        return self._version

    @property
    def confinement(self) -> Confinement:
        return self._jails.confinement if self._jails else _UNCONFINED

    async def boot(self, vm_id: str, spec: VmSpec, *, saveable: bool = False) -> FirecrackerVm:
        """Start a machine from its kernel. A jailed one can be saved only where it is ``saveable``.

        Raises NotReadyError, BusyError, InternalError.
        """
        await asyncio.to_thread(machine.refuse_unfit_kernel, spec.vmlinux)
        template = self._cpu_template
        vm = self._vm(vm_id, spec, template or _HOST_CPU, self._settings.boot_deadline_s, saveable=saveable)
        await vm.start(
            self._settings.vms_dir,
            machine.boot_files(spec),
            lambda client: machine.boot(client, spec, template),
            "machine",
        )
        return vm

    async def restore(self, vm_id: str, saved: MachineState) -> FirecrackerVm:
        """Start a clone and have it load the state; it runs when this returns."""
        vm = self._vm(vm_id, saved.spec, saved.cpu_model, self._settings.restore_deadline_s)
        await vm.start(
            self._settings.vms_dir,
            machine.saved_files(saved),
            lambda client: machine.load(client, self._version),
            "load",
        )
        return vm

    def _vm(
        self, vm_id: str, spec: VmSpec, cpu_model: str, connect_deadline_s: float, *, saveable: bool = False
    ) -> FirecrackerVm:
        def quarters(home: VmHome) -> Quarters:
            if self._jails is None:
                return OpenQuarters(self._binary, vm_id, home.path)
            return self._jails.for_vm(vm_id, spec, saveable=saveable)

        return FirecrackerVm(vm_id, self._version, cpu_model, quarters, connect_deadline_s, Stopwatch())


class FirecrackerVm:
    """A virtual machine in a Firecracker process of its own."""

    def __init__(
        self,
        vm_id: str,
        version: str,
        cpu_model: str,
        quarters: Callable[[VmHome], Quarters],
        connect_deadline_s: float,
        stopwatch: Stopwatch,
    ) -> None:
        self.id = vm_id
        self.greets = True
        self.stopwatch = stopwatch
        self._version = version
        self._cpu_model = cpu_model
        self._connect_deadline_s = connect_deadline_s
        self._process = FirecrackerProcess(vm_id, quarters, stopwatch)
        self._connected = False
        self._ending: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid

    async def start(
        self,
        vms_dir: Path,
        files: Mapping[str, Path],
        make: Callable[[FirecrackerApi], Awaitable[None]],
        making: str,
    ) -> None:
        """Start the process among ``files`` and have ``make`` give it its machine, the stage ``making``. On any
        failure nothing is left.

        Raises InternalError, NotReadyError, BusyError.
        """
        try:
            await self._process.start(vms_dir, files)
            async with self._process.api() as client:
                await make(client)
            self.stopwatch.mark(making)
        except BaseException:
            await self.destroy()
            raise

    async def connect(self) -> SocketStream:
        """To the guest agent, once it listens; once.

        Raises InternalError with the guest's last words: at the deadline, or at once where the process ends before.
        """
        if self._connected:
            raise InternalError("The agent's channel is taken already")
        self._connected = True
        try:
            with self._process.path_to(machine.VSOCK) as path:
                return await self._connect_before_its_end(path)
        except InternalError as error:
            console = self.serial.text().strip()[-_CONSOLE_SHOWN:]
            raise InternalError(
                f"{error.message} ({await self._process.fate()})",
                remedy=f"Last words of the guest's console: {console}" if console else error.remedy,
                vm=self.id,
            ) from error

    async def _connect_before_its_end(self, path: str) -> SocketStream:
        connecting = asyncio.create_task(hybrid_vsock.connect_once_greeted(path, AGENT_PORT, self._connect_deadline_s))
        ending = asyncio.create_task(self._process.exited())
        try:
            await asyncio.wait((connecting, ending), return_when=asyncio.FIRST_COMPLETED)
            if connecting.done():
                return connecting.result()
            raise InternalError("The VM ended before its agent was reached")
        except asyncio.CancelledError:
            if connecting.done() and not connecting.exception():
                await connecting.result().close()
            raise
        finally:
            for task in (connecting, ending):
                task.cancel()
            await asyncio.wait((connecting, ending))

    async def save(self, into: Path) -> SavedState:
        """Pause the machine, write ``state`` and ``memory`` into the folder; it stays paused.

        Raises InternalError, NotReadyError (folder and jail on two file systems), OSError.
        """
        quarters = self._process.quarters
        state, memory = into / "state", into / "memory"
        written = {into / ".state": machine.SAVED_STATE, into / ".memory": machine.SAVED_MEMORY}
        try:
            for target, name in written.items():
                target.touch(mode=0o600, exist_ok=False)
                await to_its_end(quarters.place, target, name, writable=True)
            async with self._process.api() as client:
                await machine.save(client)
            for target, kept in zip(written, (state, memory), strict=True):
                await to_its_end(_take_over, target, kept)
        except FileExistsError as error:
            raise InternalError(f"Something lies where the machine is to be saved: {error}", vm=self.id) from error
        finally:
            await to_its_end(_discard, [*written, *(quarters.folder / name for name in written.values())])
        return SavedState(
            state=state,
            memory=memory,
            vmm_version=self._version,
            accelerator=Firecracker.accelerator,
            cpu_model=self._cpu_model,
            machine=MACHINE,
        )

    async def counters(self, deadline_s: float) -> VmmCounters:
        counted = self._process.counters
        try:
            async with asyncio.timeout(deadline_s):
                before = counted.flushes
                async with self._process.api(deadline_s) as client:
                    await client.send(api.action, api.Action(action_type="FlushMetrics"))
                await counted.more_than(before)
        except TimeoutError:
            raise InternalError("Firecracker's counters did not arrive in time", vm=self.id) from None
        return counted.summary()

    async def exited(self) -> str:
        """Wait for the process' end: how it ended and what it said."""
        return await self._process.exited()

    @property
    def serial(self) -> Tail:
        return self._process.serial

    def usage(self) -> VmUsage | None:
        return self._process.usage()

    def limits(self) -> tuple[Figure, ...]:
        return self._process.limits()

    async def destroy(self) -> None:
        """Idempotent, and finished even when its caller is cancelled."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._process.end())
        await asyncio.shield(self._ending)


def _take_over(written: Path, kept: Path) -> None:
    """Copy what Firecracker wrote to a file of ours, safe on disk: Firecracker may still hold its own open, and writes
    pages of zeros that we leave out."""
    with written.open("rb") as file:
        memory_file.copy_sparse(file.fileno(), kept)


def _discard(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)
