"""A process of this host that can't be mistaken for a later one with the same number.

A pid alone is reused by the kernel; a pid with the time its process started is not. What the engine writes down
to find its VMMs again after a crash, and what it sends signals to, is a ``ProcessId``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Fields of /proc/<pid>/stat, counted from the one after the name in parentheses (which may hold anything).
_STATE, _UTIME, _STIME, _START = 0, 11, 12, 19
_ENDED_STATES = "ZX"


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """A sample of one process. cpu_s counts from its start; shared are the page cache's or also others'."""

    cpu_s: float
    private_bytes: int
    shared_bytes: int


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid and the clock tick since boot at which that process started."""

    pid: int
    start_ticks: int

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """Of a process that runs now. Raises ProcessLookupError where none has that pid."""
        fields = _stat(pid)
        if fields is None:
            raise ProcessLookupError(f"no process {pid}")
        return cls(pid, int(fields[_START]))

    @classmethod
    def parse(cls, text: str) -> ProcessId:
        """From what ``str`` gave. Raises ValueError."""
        pid, start_ticks = text.split()
        if int(pid) <= 0:
            raise ValueError(f"{pid} is not a pid")
        return cls(int(pid), int(start_ticks))

    def __str__(self) -> str:
        return f"{self.pid} {self.start_ticks}"

    def alive(self) -> bool:
        """It is this very process, and it has not ended (a zombie has)."""
        fields = _stat(self.pid)
        return fields is not None and int(fields[_START]) == self.start_ticks and fields[_STATE] not in _ENDED_STATES

    def kill(self, number: int = signal.SIGKILL) -> bool:
        """Send a signal to this very process; False where it has ended. Raises PermissionError."""
        handle = self._handle()
        if handle is None:
            return False
        try:
            signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True

    async def ended(self) -> None:
        """Return when the process has ended, child of ours or not; at once where it has already."""
        handle = self._handle()
        if handle is None:
            return
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()
        loop.add_reader(handle, lambda: over.done() or over.set_result(None))
        try:
            await over
        finally:
            loop.remove_reader(handle)
            os.close(handle)

    def usage(self) -> ProcessUsage | None:
        """None once the process has ended."""
        fields = _stat(self.pid)
        if fields is None or int(fields[_START]) != self.start_ticks or fields[_STATE] in _ENDED_STATES:
            return None
        try:
            status = (_PROC / str(self.pid) / "status").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        private, shared = _memory(status)
        return ProcessUsage((int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS_PER_S, private, shared)

    def _handle(self) -> int | None:
        """A pidfd of this very process: opened before the start time is compared, so it can't become another's."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.alive():
            return handle
        os.close(handle)
        return None


def working_in(folder: Path) -> list[ProcessId]:
    """Processes whose working folder is this one. Reads all of /proc."""
    found: list[ProcessId] = []
    for entry in _PROC.iterdir():
        with contextlib.suppress(OSError):  # it ended while we looked, or is not ours to look at
            if entry.name.isdigit() and (entry / "cwd").samefile(folder):
                found.append(ProcessId.of(int(entry.name)))
    return found


def usage(pid: int) -> ProcessUsage | None:
    """Usage of the process that has ``pid`` now; None where there is none. For a child of ours not yet waited for."""
    try:
        return ProcessId.of(pid).usage()
    except ProcessLookupError:
        return None


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2 :].split()


def _memory(status: str) -> tuple[int, int]:
    """Private and shared bytes of a text of /proc/<pid>/status.

    Private is what only this process costs the host: pages it has written, which are anonymous, copies of a file's
    pages included. A page of a file that it has only read is shared with whoever maps the file next, even while nobody
    else does. The kernel keeps these counts; smaps_rollup, which has them too, walks all the memory for each look.
    """
    rows = (line.split() for line in status.splitlines())
    sizes = {row[0]: int(row[1]) * 1024 for row in rows if len(row) == 3 and row[2] == "kB"}
    private = sizes.get("RssAnon:", 0) + sizes.get("HugetlbPages:", 0)
    return private, sizes.get("RssFile:", 0) + sizes.get("RssShmem:", 0)
