"""Control groups (v2) of the guest: one for all user code, below it one per execution.

Killing through the group reaches every process in it at once, new forks included (cgroup.kill, Linux 5.14).
"""

from __future__ import annotations

import os

ROOT = "/sys/fs/cgroup"
CELL = ROOT + "/cell"


def setup(memory_max: int) -> None:
    """Make the group of all user code, with the controllers that limit it."""
    _write(ROOT + "/cgroup.subtree_control", "+memory +pids +cpu")
    os.mkdir(CELL)
    _write(CELL + "/cgroup.subtree_control", "+memory +pids +cpu")
    _write(CELL + "/memory.max", str(memory_max))
    _write(CELL + "/cpu.weight", "10")  # of 100 that the agent has: it must get its turn beside any number of processes


class Group:
    """The control group of one execution (or of the parked interpreter)."""

    def __init__(self, name: str) -> None:
        self.path = f"{CELL}/{name}"
        self._limits = (0, 0)
        os.mkdir(self.path)
        _write(self.path + "/memory.oom.group", "1")

    def limit(self, memory_bytes: int, pids: int) -> None:
        if (memory_bytes, pids) != self._limits:
            self._limits = (memory_bytes, pids)
            _write(self.path + "/memory.max", str(memory_bytes))
            _write(self.path + "/pids.max", str(pids))

    def open_procs(self) -> int:
        """A descriptor through which a process may move itself in by writing "0"; the caller closes it."""
        return os.open(self.path + "/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)

    def kill(self) -> None:
        _write(self.path + "/cgroup.kill", "1")

    def populated(self) -> bool:
        return _table(self.path + "/cgroup.events").get("populated") == 1

    def cpu_us(self) -> int:
        return _table(self.path + "/cpu.stat").get("usage_usec", 0)

    def memory_peak(self) -> int:
        """Bytes; 0 where the kernel (before 5.19) does not count it."""
        try:
            return int(_read(self.path + "/memory.peak"))
        except FileNotFoundError:
            return 0

    def memory_now(self) -> int:
        return int(_read(self.path + "/memory.current"))

    def out_of_memory(self) -> bool:
        return _table(self.path + "/memory.events").get("oom_kill", 0) > 0

    def remove(self) -> None:
        """Raises OSError (EBUSY) while a process is left in it."""
        os.rmdir(self.path)


def _read(path: str) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 4096).decode()
    finally:
        os.close(fd)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _table(path: str) -> dict[str, int]:
    return {key: int(value) for key, value in (line.split() for line in _read(path).splitlines())}
