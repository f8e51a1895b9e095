"""QEMU as a VMM: cold boot, save, copy-on-write restore, kill. QMP through the qemu.qmp library.

A VM that is to be saved keeps its memory in a memfd of ours, which ``save`` copies out without its empty pages; a
clone maps that copy privately, so all clones of a snapshot share its pages until they write. What confines the
process is ``qemu_jail``'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import cast

from qemu.qmp import EventListener, QMPClient, QMPError

from engine.errors import InternalError, NotReadyError
from engine.guestlink.stream import SocketStream
from engine.host import process
from engine.host.process import ProcessId
from engine.host.tsc import tsc_khz
from engine.settings import Settings
from engine.vmm import leftovers, memory_file
from engine.vmm.base import Confinement, MachineState, SavedState, VmSpec, VmUsage
from engine.vmm.home import VmHome
from engine.vmm.launch import ENVIRONMENT
from engine.vmm.qemu_command import CPU_MODELS, Channels, Memory, command, machine_of
from engine.vmm.qemu_files import HandedFiles
from engine.vmm.qemu_jail import QemuQuarters, quarters_of
from engine.vmm.sealed_memory import SealedMemories
from engine.vmm.tail import Tail
from engine.vmm.thread import to_its_end

_MONITOR_DEADLINE_S = 60.0
_SERIAL_KEPT = 64 * 1024
_SERIAL_READ_MAX = 4 * 1024 * 1024  # a guest that floods its console is not read for ever
_MESSAGES_KEPT = 8 * 1024

# The library logs what it raises as well, and a cancelled call as a fault of its own.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL + 1)


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
        await asyncio.to_thread(tsc_khz)  # which ``command`` asks for; measuring it takes a moment, once
        machine = machine_of(os.uname().machine)
        memory = Memory()
        if saveable:
            memory = Memory.of_descriptor(os.memfd_create(f"vmdeck-{vm_id}"), shared=True)
        vm = QemuVm(self, vm_id, spec, machine, CPU_MODELS[self.accelerator], memory)
        await vm.start(self._settings.vms_dir, lambda: self._quarters.for_vm(vm_id, spec, saveable=saveable), None)
        return vm

    async def restore(self, vm_id: str, saved: MachineState) -> QemuVm:
        """Start a clone and have it load the state; it runs on by itself, nothing more is waited for here."""
        spec = saved.spec
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
            vm = QemuVm(self, vm_id, spec, saved.machine, saved.cpu_model, memory)
            await vm.start(
                self._settings.vms_dir,
                lambda: self._quarters.for_vm(vm_id, spec, incoming=True, added_bytes=added_bytes),
                state_fd,
            )
            return vm


class QemuVm:
    """A QEMU process and all it holds: the memory that it shares with us, too."""

    def __init__(self, vmm: Qemu, vm_id: str, spec: VmSpec, machine: str, cpu_model: str, memory: Memory) -> None:
        self.id = vm_id
        self.greets = True
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
        self._qmp: socket.socket | None = None
        self._serial = Tail(_SERIAL_KEPT, _SERIAL_READ_MAX)
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
                await self._spawn(home, quarters, files, state_fd)
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
            self._qmp, qmp_fd = pair()
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
            self._readers.append(asyncio.create_task(self._serial.follow_socket(serial)))
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
        async with self._monitor() as client:
            await client.execute("migrate-set-capabilities", {"capabilities": _capabilities("x-ignore-shared")})
            await client.execute("migrate-incoming", {"uri": f"fd:{state_fd}"})

    @contextlib.asynccontextmanager
    async def _monitor(self) -> AsyncGenerator[QMPClient]:
        """QMP, once in a VM's life. Raises InternalError."""
        qmp_socket, self._qmp = self._qmp, None
        if qmp_socket is None:
            raise InternalError("The machine's monitor was used already")
        client = QMPClient(self.id)
        try:
            async with asyncio.timeout(_MONITOR_DEADLINE_S):
                await client.connect(qmp_socket)
                yield client
        except TimeoutError:
            raise InternalError(f"QEMU did not answer in {_MONITOR_DEADLINE_S:.0f} s", vm=self.id) from None
        except QMPError as error:
            try:
                ended = await asyncio.wait_for(self.exited(), 1)
            except TimeoutError:
                ended = "QEMU still runs"
            raise InternalError(f"QEMU refused: {error} ({ended})", vm=self.id) from error
        finally:
            with contextlib.suppress(QMPError, OSError, TimeoutError):
                await asyncio.wait_for(client.disconnect(), 1)

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
        async with self._monitor() as client:
            await self._migrate(client, state)
        await to_its_end(memory_file.copy_sparse, self._template_fd, memory)
        return SavedState(
            state=state,
            memory=memory,
            vmm_version=await self._vmm.version(),
            accelerator=self._vmm.accelerator,
            cpu_model=self._cpu_model,
            machine=self._machine,
        )

    async def _migrate(self, client: QMPClient, state: Path) -> None:
        # No "stop" first: migration stops the machine itself, and records that it ran, so a clone runs at once.
        await client.execute("migrate-set-capabilities", {"capabilities": _capabilities("x-ignore-shared", "events")})
        fd = os.open(state, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            client.send_fd_scm(fd)
            await client.execute("getfd", {"fdname": "state"})
            events = EventListener(("MIGRATION",))
            with client.listen(events):
                await client.execute("migrate", {"uri": "fd:state"})
                async for event in events:
                    status = cast("dict[str, str]", event["data"])["status"]
                    if status == "completed":
                        break
                    if status in ("failed", "cancelled"):
                        info = await client.execute("query-migrate")
                        raise InternalError(f"QEMU could not write the state: {info}", remedy="Is the disk full?")
            os.fsync(fd)
        finally:
            os.close(fd)

    async def exited(self) -> str:
        """Wait for the process' end: how it ended and what it said."""
        if self._process is None:
            return "QEMU was not started"
        code = await self._process.wait()
        await asyncio.wait(self._readers, timeout=1)
        how = f"signal {-code}" if code < 0 else f"status {code}"
        said = self._messages.text().strip()
        return f"QEMU ended with {how}" + (f": {said}" if said else "")

    def serial_tail(self) -> str:
        return self._serial.text()

    def usage(self) -> VmUsage | None:
        pid = self.pid
        sample = process.usage(pid) if pid is not None else None
        if sample is None:
            return None
        template_bytes = os.fstat(self._template_fd).st_blocks * 512 if self._template_fd is not None else 0
        shared_bytes = max(0, sample.shared_bytes - template_bytes)
        return VmUsage(sample.cpu_s, sample.private_bytes + template_bytes, shared_bytes)

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
        for end in (self._agent, self._qmp):
            if end is not None:
                end.close()
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
