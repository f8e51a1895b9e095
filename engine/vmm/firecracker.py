"""Firecracker as a VMM: cold boot, full snapshot, copy-on-write restore, kill; in its jail or out of it.

Every path that Firecracker is told is a name in the VM's own folder (``Quarters``), so eight clones of one snapshot
meet nowhere, and a snapshot says nothing of the host that made it. A clone maps the memory file privately.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path

from engine.errors import InternalError, NotReadyError
from engine.guestlink import hybrid_vsock
from engine.guestlink.stream import SocketStream
from engine.host import process
from engine.host.firecracker_release import refuse_unfit
from engine.settings import Settings
from engine.vmm import firecracker_api as api
from engine.vmm import firecracker_machine as machine
from engine.vmm import memory_file
from engine.vmm.base import MachineState, SavedState, VmSpec, VmUsage
from engine.vmm.firecracker_api import FirecrackerApi, FirecrackerLostError
from engine.vmm.home import VmHome
from engine.vmm.jailer import Jail
from engine.vmm.quarters import OpenQuarters, Quarters
from engine.vmm.tail import Tail
from guest.protocol import AGENT_PORT

MACHINE = "firecracker"

_API, _LOG, _METRICS = "api.sock", "log", "metrics"
_HOST_CPU = "host"
_API_DEADLINE_S = 10.0
_API_RETRY_S = 0.001
_LAST_WORDS_S = 1.0
_SERIAL_KEPT = 64 * 1024
_MESSAGES_KEPT = 8 * 1024
_METRICS_KEPT = 32 * 1024  # one flush is a line of about 10 KiB
_READ_MAX = 4 * 1024 * 1024  # of any of them; then Firecracker drops what it can't write
_CONSOLE_SHOWN = 600

Jails = Callable[[str, VmSpec], Jail]


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

    async def boot(self, vm_id: str, spec: VmSpec, *, saveable: bool = False) -> FirecrackerVm:
        """Start a machine from its kernel. Any can be saved: ``saveable`` costs nothing here."""
        template = self._cpu_template
        vm = self._vm(vm_id, spec, template or _HOST_CPU, self._settings.boot_deadline_s)
        await vm.start(
            self._settings.vms_dir, machine.boot_files(spec), lambda client: machine.boot(client, spec, template)
        )
        return vm

    async def restore(self, vm_id: str, saved: MachineState) -> FirecrackerVm:
        """Start a clone and have it load the state; it runs when this returns."""
        vm = self._vm(vm_id, saved.spec, saved.cpu_model, self._settings.restore_deadline_s)
        await vm.start(self._settings.vms_dir, machine.saved_files(saved), machine.load)
        return vm

    def _vm(self, vm_id: str, spec: VmSpec, cpu_model: str, connect_deadline_s: float) -> FirecrackerVm:
        def quarters(home: VmHome) -> Quarters:
            return self._jails(vm_id, spec) if self._jails else OpenQuarters(self._binary, vm_id, home.path)

        return FirecrackerVm(vm_id, self._version, cpu_model, quarters, connect_deadline_s)


class FirecrackerVm:
    """A Firecracker process and all it holds."""

    def __init__(
        self,
        vm_id: str,
        version: str,
        cpu_model: str,
        quarters: Callable[[VmHome], Quarters],
        connect_deadline_s: float,
    ) -> None:
        self.id = vm_id
        self._version = version
        self._cpu_model = cpu_model
        self._settle = quarters
        self._connect_deadline_s = connect_deadline_s
        self._home: VmHome | None = None
        self._quarters: Quarters | None = None
        self._folder_fd: int | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._connected = False
        self._serial = Tail(_SERIAL_KEPT, _READ_MAX)
        self._messages = Tail(_MESSAGES_KEPT, _READ_MAX)
        self._metrics = Tail(_METRICS_KEPT, _READ_MAX)
        self._pipes: list[asyncio.ReadTransport] = []
        self._readers: list[asyncio.Task[None]] = []
        self._ending: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(
        self, vms_dir: Path, files: Mapping[str, Path], make: Callable[[FirecrackerApi], Awaitable[None]]
    ) -> None:
        """Spawn the process among ``files`` and have ``make`` give it its machine. On any failure nothing is left.

        Raises InternalError, NotReadyError, BusyError.
        """
        try:
            self._home = VmHome.create(vms_dir, self.id)
            quarters = await self._move_in(self._home, files)
            await self._spawn(self._home, quarters)
            await self._api_ready()
            async with self._api() as client:
                await make(client)
        except BaseException:
            await self.destroy()
            raise

    async def _move_in(self, home: VmHome, files: Mapping[str, Path]) -> Quarters:
        try:
            quarters = self._settle(home)
            home.note_elsewhere(quarters.traces)
            quarters.prepare()
            self._quarters = quarters
            self._folder_fd = os.open(quarters.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            for name, tail in ((_LOG, self._messages), (_METRICS, self._metrics)):
                await self._follow_fifo(quarters, name, tail)
            for name, source in files.items():
                await asyncio.to_thread(quarters.place, source, name)
        except OSError as error:
            raise NotReadyError(
                f"The VM's folder can't be furnished: {error}",
                remedy="Missing kernel or snapshot files are made by vmdeck setup and vmdeck snapshot create.",
            ) from error
        return quarters

    async def _follow_fifo(self, quarters: Quarters, name: str, tail: Tail) -> None:
        """A pipe, not a file, so that nothing a guest causes to be logged fills the disk; Firecracker never waits."""
        path = quarters.folder / name
        os.mkfifo(path, 0o600)
        quarters.own(name)
        ours = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), ours
        )
        self._pipes.append(transport)
        self._readers.append(asyncio.create_task(tail.follow(reader)))

    async def _spawn(self, home: VmHome, quarters: Quarters) -> None:
        command = quarters.command(
            ["--api-sock", _API, "--log-path", _LOG, "--level", "Warning", "--metrics-path", _METRICS]
        )
        try:
            self._process = await asyncio.create_subprocess_exec(
                # No VM outlives its engine, even one that was killed. The kernel forgets this when the jailer changes
                # the user, so a jailed one is left to the next engine's reaping.
                *("setpriv", "--pdeathsig", "KILL", "--", *command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=quarters.folder,
                env={"PATH": os.defpath},  # the engine's variables may hold secrets, and none concerns a VMM
                start_new_session=True,  # a Ctrl-C at the terminal is for the engine, which then ends its VMs
            )
        except OSError as error:
            raise NotReadyError(f"Firecracker can't be started: {error}", remedy="Install it: vmdeck setup") from None
        with contextlib.suppress(ProcessLookupError):  # it died at once; exited() will say how
            home.note_vmm(self._process.pid)
        for stream, tail in ((self._process.stdout, self._serial), (self._process.stderr, self._messages)):
            assert stream is not None  # noqa: S101 - asked for above
            self._readers.append(asyncio.create_task(tail.follow(stream)))

    async def _api_ready(self) -> None:
        """Return once the API's socket accepts. Raises InternalError where the process ends first, or hangs."""
        assert self._process is not None  # noqa: S101 - spawned before
        try:
            async with asyncio.timeout(_API_DEADLINE_S):
                while not _accepts(self._reach(_API)):
                    if self._process.returncode is not None:
                        raise InternalError(await self.exited(), remedy="Run vmdeck doctor", vm=self.id)
                    await asyncio.sleep(_API_RETRY_S)
        except TimeoutError:
            raise InternalError(
                f"Firecracker did not open its API within {_API_DEADLINE_S:g} s ({self._said()})", vm=self.id
            ) from None

    def _reach(self, name: str) -> str:
        """A path to a socket in the VM's folder that is short however deep that lies: the kernel takes 107 bytes."""
        return f"/proc/self/fd/{self._folder_fd}/{name}"

    @contextlib.asynccontextmanager
    async def _api(self) -> AsyncGenerator[FirecrackerApi]:
        async with FirecrackerApi(self._reach(_API)) as client:
            try:
                yield client
            except FirecrackerLostError as error:
                raise InternalError(f"{error.message} ({await self._fate()})", vm=self.id) from error

    async def connect(self) -> SocketStream:
        """To the guest agent, once it listens; once. Raises InternalError with the guest's last words."""
        if self._connected:
            raise InternalError("The agent's channel is taken already")
        self._connected = True
        try:
            return await hybrid_vsock.connect_once_listening(
                self._reach(machine.VSOCK), AGENT_PORT, self._connect_deadline_s
            )
        except InternalError as error:
            console = self.serial_tail().strip()[-_CONSOLE_SHOWN:]
            raise InternalError(
                f"{error.message} ({await self._fate()})",
                remedy=f"Last words of the guest's console: {console}" if console else error.remedy,
                vm=self.id,
            ) from error

    async def save(self, into: Path) -> SavedState:
        """Pause the machine, write ``state`` and ``memory`` into the folder; it stays paused.

        Raises InternalError, NotReadyError (folder and jail on two file systems).
        """
        if self._quarters is None or self._process is None:
            raise InternalError("The VM is not running")
        state, memory, dense = into / "state", into / "memory", into / ".memory"
        written = {machine.SAVED_STATE: state, machine.SAVED_MEMORY: dense}
        try:
            for name, target in written.items():
                target.touch(mode=0o600, exist_ok=False)
                await asyncio.to_thread(self._quarters.place, target, name, writable=True)
            async with self._api() as client:
                await machine.save(client)
            await asyncio.to_thread(_take_over, state, dense, memory)
        finally:
            dense.unlink(missing_ok=True)
            for name in written:
                (self._quarters.folder / name).unlink(missing_ok=True)
        return SavedState(
            state=state,
            memory=memory,
            vmm_version=self._version,
            accelerator=Firecracker.accelerator,
            cpu_model=self._cpu_model,
            machine=MACHINE,
        )

    async def exited(self) -> str:
        """Wait for the process' end: how it ended and what it said."""
        if self._process is None:
            return "Firecracker was not started"
        code = await self._process.wait()
        await asyncio.wait(self._readers, timeout=_LAST_WORDS_S)
        how = f"signal {-code}" if code < 0 else f"status {code}"
        return f"Firecracker ended with {how}: {self._said()}"

    async def _fate(self) -> str:
        """What became of the process by now."""
        try:
            return await asyncio.wait_for(self.exited(), _LAST_WORDS_S)
        except TimeoutError:
            return "Firecracker still runs"

    def _said(self) -> str:
        return self._messages.text().strip() or "it said nothing"

    async def metrics(self) -> str:
        """Firecracker's own counters as of now: a JSON object. Raises InternalError."""
        before = self._metrics.text()
        async with self._api() as client:
            await client.send(api.action, api.Action(action_type="FlushMetrics"))
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                while (now := self._metrics.text()) == before or not now.endswith("\n"):
                    await asyncio.sleep(_API_RETRY_S)  # written already, not read yet
        except TimeoutError:
            raise InternalError("Firecracker's counters did not arrive", vm=self.id) from None
        return now.splitlines()[-1]

    def serial_tail(self) -> str:
        return self._serial.text()

    def usage(self) -> VmUsage | None:
        pid = self.pid
        sample = process.usage(pid) if pid is not None else None
        return VmUsage(sample.cpu_s, sample.private_bytes, sample.shared_bytes) if sample else None

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
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        for pipe in self._pipes:
            pipe.close()
        if self._folder_fd is not None:
            os.close(self._folder_fd)
            self._folder_fd = None
        if self._home is not None:
            await self._home.clear_elsewhere()
            self._home.remove()


def _accepts(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
        try:
            sock.connect(path)
        except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
            return False
    return True


def _take_over(state: Path, dense: Path, memory: Path) -> None:
    """Make what Firecracker wrote ours and safe on disk; it writes all of memory, we keep no empty pages."""
    os.chown(state, os.geteuid(), os.getegid())
    with state.open("rb") as written:
        os.fsync(written.fileno())
    with dense.open("rb") as written:
        memory_file.copy_sparse(written.fileno(), memory)
