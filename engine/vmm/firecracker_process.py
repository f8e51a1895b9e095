"""One Firecracker process: its folder, its start, its API once that answers, its end.

Knows nothing of machines and snapshots; ``firecracker.py`` does. What must be done before the process can start is
done at once in a thread, and what may follow goes on while it starts: a restore is as long as its longest wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from pathlib import Path

from engine.errors import InternalError, NotReadyError
from engine.host import process
from engine.models import Figure
from engine.vmm import cgroups, leftovers
from engine.vmm.base import VmUsage
from engine.vmm.child import Child
from engine.vmm.firecracker_api import CALL_DEADLINE_S, FirecrackerApi, FirecrackerLostError
from engine.vmm.firecracker_counters import FirecrackerCounters
from engine.vmm.home import VmHome
from engine.vmm.quarters import Quarters
from engine.vmm.stopwatch import Stopwatch
from engine.vmm.tail import Tail
from engine.vmm.thread import to_its_end

_API, _LOG, _METRICS = "api.sock", "log", "metrics"
LOGS = (_LOG, _METRICS)  # to be there before it starts
ARGUMENTS = ("--api-sock", _API, "--log-path", _LOG, "--level", "Warning", "--metrics-path", _METRICS)
_API_DEADLINE_S = 10.0
_API_RETRY_S = 0.0002  # it takes 0.5 ms to open its API, and its jailer 10
_LAST_WORDS_S = 1.0
_SERIAL_KEPT = 64 * 1024
_MESSAGES_KEPT = 8 * 1024
_READ_MAX = 4 * 1024 * 1024  # of any of them; then Firecracker drops what it can't write


class FirecrackerProcess:
    """The process and all it holds. ``start`` it, and await ``end`` on every path."""

    def __init__(self, vm_id: str, settle: Callable[[VmHome], Quarters], stopwatch: Stopwatch) -> None:
        """``settle`` gives the quarters, which are not made yet: this prepares and leaves them."""
        self._id = vm_id
        self._settle = settle
        self._stopwatch = stopwatch
        self._home: VmHome | None = None
        self._quarters: Quarters | None = None
        self._folder_fd: int | None = None
        self._pipes: list[tuple[int, Tail]] = []
        self._child: Child | None = None
        self._messages = Tail(_MESSAGES_KEPT, _READ_MAX)
        self.serial = Tail(_SERIAL_KEPT, _READ_MAX)
        self.counters = FirecrackerCounters(_READ_MAX)

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def quarters(self) -> Quarters:
        """Raises InternalError before the start and after the end."""
        if self._quarters is None or self._folder_fd is None:
            raise InternalError("The VM is not running", vm=self._id)
        return self._quarters

    async def start(self, vms_dir: Path, files: Mapping[str, Path]) -> None:
        """Return once it has ``files`` in its folder and its API accepts. Raises InternalError, NotReadyError,
        BusyError; then, too, ``end`` is to be awaited."""
        try:
            child = await to_its_end(self._begin, vms_dir, files)
        except OSError as error:
            raise NotReadyError(
                f"The VM's folder can't be furnished: {error}",
                remedy="Missing kernel or snapshot files are made by vmdeck setup and vmdeck snapshot create.",
            ) from error
        child.follow()
        await self._api_accepts(child)
        self._stopwatch.mark("vmm")

    def _begin(self, vms_dir: Path, files: Mapping[str, Path]) -> Child:
        """All that blocks, in one thread: what must be there before the process starts, its start, and beside that
        what it needs only once its API is spoken to."""
        leftovers.OF_THIS_ENGINE.retry()
        self._home = home = VmHome.create(vms_dir, self._id)
        self._quarters = quarters = self._settle(home)
        home.note_elsewhere(quarters.traces)
        quarters.prepare()
        self._folder_fd = os.open(quarters.folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        for name, tail in zip(LOGS, (self._messages, self.counters.lines), strict=True):
            # A pipe, not a file, so that nothing a guest causes to be logged fills the disk; it never waits for us.
            path = quarters.folder / name
            os.mkfifo(path, 0o600)
            quarters.own(name)
            self._pipes.append((os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC), tail))
        self._stopwatch.mark("prepare")
        child = self._spawn(quarters)
        self._stopwatch.mark("spawn")
        with contextlib.suppress(ProcessLookupError):  # it died at once; exited() will say how
            home.note_vmm(child.pid)
        for name, source in files.items():
            quarters.place(source, name)
        return child

    def _spawn(self, quarters: Quarters) -> Child:
        try:
            child = Child(quarters.command(ARGUMENTS), quarters.folder, stdout=self.serial, stderr=self._messages)
        except OSError as error:
            raise NotReadyError(f"Firecracker can't be started: {error}", remedy="Install it: vmdeck setup") from None
        self._child = child
        while self._pipes:
            child.listen(*self._pipes.pop())
        return child

    async def _api_accepts(self, child: Child) -> None:
        """Raises InternalError where the process ends first, or hangs."""
        try:
            async with asyncio.timeout(_API_DEADLINE_S):
                while not self._accepts():
                    if not child.running:
                        raise InternalError(await self.exited(), remedy="Run vmdeck doctor", vm=self._id)
                    # The loop's own timers count in whole milliseconds, twice as long as the wait mostly is.
                    await asyncio.to_thread(time.sleep, _API_RETRY_S)
        except TimeoutError:
            raise InternalError(
                f"Firecracker did not open its API within {_API_DEADLINE_S:g} s ({self._said()})", vm=self._id
            ) from None

    def _accepts(self) -> bool:
        try:
            found = self._open_socket(_API)
        except FileNotFoundError:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as sock:
                sock.connect(_way_to(found))
        except (ConnectionRefusedError, BlockingIOError):
            return False
        finally:
            os.close(found)
        return True

    @contextlib.contextmanager
    def path_to(self, name: str) -> Generator[str]:
        """A path to a socket in the folder that is short however deep that lies: the kernel takes 107 bytes.

        It leads to the very socket that has the name now, or nowhere, even if the VM is destroyed and another started
        meanwhile. Raises InternalError where there is none, and where the process was never started or is gone.
        """
        try:
            found = self._open_socket(name)
        except FileNotFoundError:
            raise InternalError(f"There is no {name} in the VM's folder", vm=self._id) from None
        try:
            yield _way_to(found)
        finally:
            os.close(found)

    def _open_socket(self, name: str) -> int:
        """Its descriptor, for the caller to close. The folder is the process' own, which may have put something else
        there: a link to a socket of the host, which it could not reach and we can.

        Raises FileNotFoundError; InternalError for what is no socket, and where the process was never started or is
        gone.
        """
        if self._folder_fd is None:
            raise InternalError("The VM is not running", vm=self._id)
        found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder_fd)
        if not stat.S_ISSOCK(os.fstat(found).st_mode):
            os.close(found)
            raise InternalError(f"{name} in the VM's folder is no socket, and is left alone", vm=self._id)
        return found

    @contextlib.asynccontextmanager
    async def api(self, deadline_s: float | None = None) -> AsyncGenerator[FirecrackerApi]:
        """One connection for a row of calls, each with the deadline, by default that of the longest.

        Where the process is lost in it, raises InternalError with its fate.
        """
        with self.path_to(_API) as path:
            async with FirecrackerApi(path, deadline_s or CALL_DEADLINE_S) as client:
                try:
                    yield client
                except FirecrackerLostError as error:
                    raise InternalError(f"{error.message} ({await self.fate()})", vm=self._id) from error

    async def exited(self) -> str:
        """Wait for the process' end: how it ended and what it said."""
        if self._child is None:
            return "Firecracker was not started"
        return f"Firecracker ended with {await self._child.ended()}: {self._said()}"

    async def fate(self) -> str:
        """What became of the process by now."""
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                return await self.exited()
        except TimeoutError:
            return "Firecracker still runs"

    def _said(self) -> str:
        return self._messages.text().strip() or "it said nothing"

    def usage(self) -> VmUsage | None:
        sample = process.usage(self.pid) if self.pid is not None else None
        return VmUsage(sample.cpu_s, sample.private_bytes, sample.shared_bytes) if sample else None

    def limits(self) -> tuple[Figure, ...]:
        return cgroups.in_use(self._quarters.traces.cgroups) if self._quarters else ()

    async def end(self) -> None:
        """Kill it, and return when nothing is left. Not to be cancelled."""
        if self._child is not None:
            await self._child.end()
        while self._pipes:
            os.close(self._pipes.pop()[0])
        if self._folder_fd is not None:
            os.close(self._folder_fd)
            self._folder_fd = None
        if self._home is not None:
            await leftovers.OF_THIS_ENGINE.clear(self._home, self._leave)

    def _leave(self) -> None:
        if self._quarters is not None:
            self._quarters.leave()


def _way_to(descriptor: int) -> str:
    return f"/proc/self/fd/{descriptor}"
