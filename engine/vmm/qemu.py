"""QEMU as a VMM: cold boot, save, copy-on-write restore, kill.

A VM that is to be saved keeps its memory in a memfd of ours, which ``save`` copies out without its empty pages; a
clone maps that copy privately, so all clones of a snapshot share its pages until they write. What confines the
process is ``qemu_jail``'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from engine.errors import InternalError, NotReadyError
from engine.guestlink.stream import SocketStream
from engine.host import process
from engine.host.process import ProcessId
from engine.host.tsc import tsc_khz
from engine.models import Figure
from engine.settings import Settings
from engine.vmm import cgroups, leftovers, memory_file, qemu_counters
from engine.vmm.base import Confinement, MachineState, SavedState, VmmCounters, VmSpec, VmUsage
from engine.vmm.home import VmHome
from engine.vmm.launch import ENVIRONMENT
from engine.vmm.qemu_command import CPU_MODELS, Channels, Memory, command, machine_of
from engine.vmm.qemu_files import HandedFiles
from engine.vmm.qemu_jail import QemuQuarters, quarters_of
from engine.vmm.qemu_monitor import MonitorError, QemuMonitor
from engine.vmm.sealed_memory import SealedMemories
from engine.vmm.stopwatch import Stopwatch
from engine.vmm.tail import Tail
from engine.vmm.thread import to_its_end

_MONITOR_DEADLINE_S = 60.0
_SERIAL_KEPT = 64 * 1024
_SERIAL_READ_MAX = 4 * 1024 * 1024  # a guest that floods its console is not read for ever
_MESSAGES_KEPT = 8 * 1024
_LAST_WORDS_S = 1.0


class Qemu:
    """Starts QEMU processes. One per engine; the VMs belong to whoever called ``boot`` or ``restore``."""

    name = "qemu"

    def __init__(self, settings: Settings, binary: Path, accelerator: str, version: str) -> None:
        self._settings = settings
        self._version = version
        self._quarters = quarters_of(settings, accelerator)
        self.memories = SealedMemories()
        self.binary = binary
        self.accelerator = accelerator

    @property
    def confinement(self) -> Confinement:
        """Of all its processes; that of one VM names its user."""
        return self._quarters.confinement

    async def version(self) -> str:
        return self._version

    async def boot(self, vm_id: str, spec: VmSpec, *, saveable: bool = False) -> QemuVm:
        """Start a machine from its kernel. Only a ``saveable`` one can be saved."""
        stopwatch = Stopwatch()
        await asyncio.to_thread(tsc_khz)  # which ``command`` asks for; measuring it takes a moment, once
        machine = machine_of(os.uname().machine)
        memory = Memory()
        if saveable:
            memory = Memory.of_descriptor(os.memfd_create(f"vmdeck-{vm_id}"), shared=True)
        vm = QemuVm(self, vm_id, spec, machine, CPU_MODELS[self.accelerator], memory, stopwatch)
        await vm.start(self._settings.vms_dir, lambda: self._quarters.for_vm(vm_id, spec, saveable=saveable), None)
        return vm

    async def restore(self, vm_id: str, saved: MachineState) -> QemuVm:
        """Start a clone and have it load the state; it runs on by itself, nothing more is waited for here."""
        spec, stopwatch = saved.spec, Stopwatch()
        with contextlib.ExitStack() as held:
            try:
                state_fd = os.open(saved.state, os.O_RDONLY | os.O_CLOEXEC)
                held.callback(os.close, state_fd)
                memory, added_bytes = Memory(str(saved.memory.absolute())), 0
                if self.confinement.jailed:
                    sealed = await self.memories.open(saved.memory)
                    held.callback(os.close, sealed.fd)
                    memory, added_bytes = Memory.of_descriptor(sealed.fd), sealed.holes_bytes
            except OSError as error:
                raise NotReadyError(
                    f"The snapshot can't be read: {error}", remedy="Make the snapshot anew: vmdeck snapshot create"
                ) from None
            vm = QemuVm(self, vm_id, spec, saved.machine, saved.cpu_model, memory, stopwatch)
            await vm.start(
                self._settings.vms_dir,
                lambda: self._quarters.for_vm(vm_id, spec, incoming=True, added_bytes=added_bytes),
                state_fd,
            )
            return vm


class QemuVm:
    """A QEMU process and all it holds: the memory that it shares with us, too."""

    def __init__(
        self,
        vmm: Qemu,
        vm_id: str,
        spec: VmSpec,
        machine: str,
        cpu_model: str,
        memory: Memory,
        stopwatch: Stopwatch,
    ) -> None:
        self.id = vm_id
        self.greets = True
        self.stopwatch = stopwatch
        self.serial = Tail(_SERIAL_KEPT, _SERIAL_READ_MAX)
        self._vmm = vmm
        self._spec = spec
        self._machine = machine
        self._cpu_model = cpu_model
        self._memory = memory
        self._template_fd = memory.fd if memory.shared else None
        self._home: VmHome | None = None
        self._quarters: QemuQuarters | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._identity: ProcessId | None = None
        self._agent: socket.socket | None = None
        self._monitor: QemuMonitor | None = None
        self._load_asked_s: float | None = None
        self._messages = Tail(_MESSAGES_KEPT, _SERIAL_READ_MAX)
        self._readers: list[asyncio.Task[None]] = []
        self._ending: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def confinement(self) -> Confinement:
        return self._quarters.confinement if self._quarters else self._vmm.confinement

    async def start(self, vms_dir: Path, settle: Callable[[], QemuQuarters], state_fd: int | None) -> None:
        """Spawn the process. On any failure nothing is left. Raises InternalError, NotReadyError, BusyError."""
        self.greets = state_fd is None  # a restored guest goes on in the stream where it was
        try:
            if self._template_fd is not None:
                os.ftruncate(self._template_fd, self._spec.memory_mib * 1024 * 1024)
            home, quarters = await to_its_end(self._move_in, vms_dir, settle)
            async with quarters.files(self._spec, incoming=state_fd is not None) as files:
                self.stopwatch.mark("prepare")
                await self._spawn(home, quarters, files, state_fd)
                self.stopwatch.mark("spawn")
            if state_fd is not None:
                await self._confine(quarters)
                await self._load(state_fd)
        except BaseException:
            await self.destroy()
            raise

    def _move_in(self, vms_dir: Path, settle: Callable[[], QemuQuarters]) -> tuple[VmHome, QemuQuarters]:
        """All that blocks before the process can start, in one thread."""
        leftovers.OF_THIS_ENGINE.retry()
        self._home = home = VmHome.create(vms_dir, self.id)
        self._quarters = quarters = settle()
        try:
            home.note_elsewhere(quarters.traces)
            quarters.enter()
        except OSError as error:
            raise NotReadyError(
                f"The VM's control groups can't be made: {error}",
                remedy="Let vmdeck write them, or turn the jail off in the settings.",
            ) from error
        return home, quarters

    async def _spawn(self, home: VmHome, quarters: QemuQuarters, files: HandedFiles, state_fd: int | None) -> None:
        with contextlib.ExitStack() as theirs:

            def pair() -> tuple[socket.socket, int]:
                ours, other = socket.socketpair()
                theirs.callback(other.close)
                ours.setblocking(False)
                return ours, other.fileno()

            self._agent, agent_fd = pair()
            qmp, qmp_fd = pair()
            self._monitor = QemuMonitor(qmp, self._heard)
            serial, serial_fd = pair()
            arguments = command(
                self._vmm.binary.absolute(),
                self.id,
                files.spec,
                Channels(agent_fd, qmp_fd, serial_fd),
                accelerator=self._vmm.accelerator,
                machine=self._machine,
                cpu_model=self._cpu_model,
                memory=self._memory,
                incoming=state_fd is not None,
            )
            self._readers.append(asyncio.create_task(self.serial.follow_socket(serial)))
            inherited = (agent_fd, qmp_fd, serial_fd, state_fd, self._memory.fd, *files.descriptors)
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *quarters.command([*arguments, *files.arguments]),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.STDOUT,
                    pass_fds=[fd for fd in inherited if fd is not None],
                    cwd=home.path,
                    env=ENVIRONMENT,
                    start_new_session=True,  # a Ctrl-C at the terminal is for the engine, which then ends its VMs
                )
            except OSError as error:
                raise NotReadyError(
                    f"QEMU can't be started: {error}", remedy="Install it: vmdeck setup", binary=str(self._vmm.binary)
                ) from None
        with contextlib.suppress(ProcessLookupError):  # it died at once; exited() will say how
            self._identity = home.note_vmm(self._process.pid)
        assert self._process.stdout is not None  # noqa: S101 - asked for above
        self._readers.append(asyncio.create_task(self._messages.follow(self._process.stdout)))

    async def _confine(self, quarters: QemuQuarters) -> None:
        """While QEMU starts, since the kernel takes 10 ms and more over moving a process between control groups."""
        if self._identity is None:  # it died at once
            return
        try:
            await to_its_end(quarters.confine, self._identity)
        except OSError as error:
            raise InternalError(f"The VM can't be put into its control groups: {error}", vm=self.id) from error

    async def _load(self, state_fd: int) -> None:
        """Tell QEMU what state to load; the descriptor is inherited. Memory stays where it is: x-ignore-shared."""
        async with self._commands() as monitor:
            self.stopwatch.mark("vmm")
            self._load_asked_s = self.stopwatch.last_s
            await monitor.execute("migrate-set-capabilities", {"capabilities": _capabilities("x-ignore-shared")})
            await monitor.execute("migrate-incoming", {"uri": f"fd:{state_fd}"})

    def _heard(self, event: str, at_wall_s: float) -> None:
        """A restored machine runs on by itself once it is loaded; that it does is heard of later."""
        if event == "RESUME" and self._load_asked_s is not None:
            at_s = at_wall_s - time.time() + time.monotonic()
            self.stopwatch.mark_at("load", at_s, after_s=self._load_asked_s)
            self._load_asked_s = None

    @contextlib.asynccontextmanager
    async def _commands(self, deadline_s: float = 0.0) -> AsyncGenerator[QemuMonitor]:
        """QEMU's monitor to oneself, by default for as long as starting or saving takes. Raises InternalError."""
        if self._monitor is None:
            raise InternalError("The VM was not started", vm=self.id)
        deadline_s = deadline_s or _MONITOR_DEADLINE_S
        try:
            async with self._monitor.session(deadline_s) as monitor:
                yield monitor
        except TimeoutError:
            raise InternalError(f"QEMU did not answer in {deadline_s:g} s", vm=self.id) from None
        except MonitorError as error:
            try:
                async with asyncio.timeout(_LAST_WORDS_S):
                    ended = await self.exited()
            except TimeoutError:
                ended = "QEMU still runs"
            raise InternalError(f"QEMU refused: {error.message} ({ended})", vm=self.id) from error

    async def connect(self) -> SocketStream:
        """To the guest agent; once."""
        agent, self._agent = self._agent, None
        if agent is None:
            raise InternalError("The agent's channel is taken already")
        return await SocketStream.open(agent)

    async def save(self, into: Path) -> SavedState:
        """Pause the machine, write ``state`` and ``memory`` into the folder; it stays stopped. Raises InternalError."""
        if self._template_fd is None:
            raise InternalError("Only a VM that was booted to be saved can be saved")
        state, memory = into / "state", into / "memory"
        async with self._commands() as monitor:
            await _migrate(monitor, state)
        await to_its_end(memory_file.copy_sparse, self._template_fd, memory)
        return SavedState(
            state=state,
            memory=memory,
            vmm_version=await self._vmm.version(),
            accelerator=self._vmm.accelerator,
            cpu_model=self._cpu_model,
            machine=self._machine,
        )

    async def exited(self) -> str:
        """Wait for the process' end: how it ended and what it said."""
        if self._process is None:
            return "QEMU was not started"
        code = await self._process.wait()
        await asyncio.wait(self._readers, timeout=_LAST_WORDS_S)
        how = f"signal {-code}" if code < 0 else f"status {code}"
        said = self._messages.text().strip()
        return f"QEMU ended with {how}" + (f": {said}" if said else "")

    def usage(self) -> VmUsage | None:
        pid = self.pid
        sample = process.usage(pid) if pid is not None else None
        if sample is None:
            return None
        template_bytes = os.fstat(self._template_fd).st_blocks * 512 if self._template_fd is not None else 0
        shared_bytes = max(0, sample.shared_bytes - template_bytes)
        return VmUsage(sample.cpu_s, sample.private_bytes + template_bytes, shared_bytes)

    def limits(self) -> tuple[Figure, ...]:
        return cgroups.in_use(self._quarters.traces.cgroups) if self._quarters else ()

    async def counters(self, deadline_s: float) -> VmmCounters:
        async with self._commands(deadline_s) as monitor:
            return await qemu_counters.ask(monitor)

    async def destroy(self) -> None:
        """Idempotent, and finished even when its caller is cancelled."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._destroy())
        await asyncio.shield(self._ending)

    async def _destroy(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._agent is not None:
            self._agent.close()
        if self._monitor is not None:
            await self._monitor.close()
        if self._readers:
            await asyncio.wait(self._readers, timeout=_LAST_WORDS_S)
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        if self._template_fd is not None:
            os.close(self._template_fd)
            self._template_fd = None
        self._vmm.memories.tidy()
        if self._home is not None:
            await leftovers.OF_THIS_ENGINE.clear(self._home, self._leave)

    def _leave(self) -> None:
        if self._quarters is not None:
            self._quarters.leave()


def _capabilities(*names: str) -> list[dict[str, str | bool]]:
    return [{"capability": name, "state": True} for name in names]


async def _migrate(monitor: QemuMonitor, state: Path) -> None:
    # No "stop" first: migration stops the machine itself, and records that it ran, so a clone runs at once.
    await monitor.execute("migrate-set-capabilities", {"capabilities": _capabilities("x-ignore-shared", "events")})
    fd = os.open(state, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        await monitor.execute("getfd", {"fdname": "state"}, hand_over=fd)
        await monitor.execute("migrate", {"uri": "fd:state"})
        while (status := (await monitor.event("MIGRATION")).get("status")) != "completed":
            if status in ("failed", "cancelled"):
                info = await monitor.execute("query-migrate")
                raise InternalError(f"QEMU could not write the state: {info}", remedy="Is the disk full?")
        os.fsync(fd)
    finally:
        os.close(fd)
