"""Control groups around a VMM process: which files of which version set a limit, where they lie, and their removal.

Version 2 is taken where it has the controllers; a host that binds them to version 1 is served with that.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.errors import InternalError, NotReadyError
from engine.host import jail_means
from engine.host.control_groups import CONTROLLERS
from engine.host.jail_means import MEMBERS, PASSED_ON
from engine.host.process import ProcessId
from engine.models import Figure
from engine.vmm import figures
from engine.vmm.thread import to_its_end

Version = Literal[1, 2]
_SWAP = "memory.swap.max"  # memory.max does not bound it; not there where the kernel counts no swap
_CPU_PERIOD_US = 100_000
_REMOVAL_DEADLINE_S = 5.0
_REMOVAL_RETRY_S = 0.001


@dataclass(frozen=True, slots=True)
class CgroupLimits:
    """What a VMM process and its threads may use together. ``cpus`` of 0.5 is half of one; threads count as pids."""

    cpus: float
    memory_bytes: int
    pids: int

    def files(self, version: Version) -> tuple[tuple[str, str], ...]:
        """Names of the kernel's files with their values, in the order in which they are to be written."""
        quota_us = round(self.cpus * _CPU_PERIOD_US)
        if version == 2:
            return (
                ("cpu.max", f"{quota_us} {_CPU_PERIOD_US}"),
                ("memory.max", str(self.memory_bytes)),
                ("pids.max", str(self.pids)),
            )
        return (
            ("cpu.cfs_period_us", str(_CPU_PERIOD_US)),
            ("cpu.cfs_quota_us", str(quota_us)),
            ("memory.limit_in_bytes", str(self.memory_bytes)),
            ("pids.max", str(self.pids)),
        )


@dataclass(frozen=True, slots=True)
class Cgroups:
    """Where this host has its control groups: the mount point of each of ``CONTROLLERS``."""

    version: Version
    mounts: Mapping[str, Path]

    @classmethod
    def of_host(cls, mounts: Path = Path("/proc/mounts")) -> Cgroups:
        """Raises NotReadyError where a controller is missing in both versions."""
        rows = [line.split() for line in mounts.read_text().splitlines()]
        for row in rows:
            if row[2] == "cgroup2" and set(CONTROLLERS) <= _controllers_of(Path(row[1])):
                return cls(2, dict.fromkeys(CONTROLLERS, Path(row[1])))
        old = {
            name: Path(row[1])
            for row in rows
            if row[2] == "cgroup"
            for name in CONTROLLERS
            if name in row[3].split(",")
        }
        if missing := [name for name in CONTROLLERS if name not in old]:
            raise NotReadyError(
                f"This host has no control group for {', '.join(missing)}, so a jail can't limit it",
                remedy="Mount the cgroup2 file system, as systemd does.",
            )
        return cls(1, old)

    def folders(self, name: str) -> tuple[Path, ...]:
        """Of the group ``name``, a path below the mount points; one, or one for each controller."""
        return tuple(dict.fromkeys(mount / name for mount in self.mounts.values()))

    def hindrance(self) -> str | None:
        """Why no group can be made right below the mount points, None where one can. Makes none, and waits long.

        Passes on the controllers of version 2.
        """
        if (seen := jail_means.without_groups(self.version, self.mounts.values())) is not None:
            return seen
        for mount in dict.fromkeys(self.mounts.values()) if self.version == 2 else ():
            try:
                _pass_on(mount)
            except OSError as error:
                return f"the controllers of {mount} can't be passed on: {error.strerror}"
        return None

    def make(self, name: str, limits: CgroupLimits) -> None:
        """The group ``name``, right below the mount points, with its limits. Raises OSError; then ``remove`` it.

        Whoever manages the host's groups may have taken controllers of version 2 back meanwhile, as systemd does where
        none of its own groups needs them; they are passed on once more.
        """
        for folder in self.folders(name):
            folder.mkdir()
        files = {self.mounts[file.partition(".")[0]] / name / file: value for file, value in limits.files(self.version)}
        if self.version == 2 and not all(file.exists() for file in files):
            for mount in dict.fromkeys(self.mounts.values()):
                _pass_on(mount)
        for file, value in files.items():
            file.write_text(value)
        swap = self.mounts["memory"] / name / _SWAP
        if self.version == 2 and swap.exists():
            swap.write_text("0")


def _pass_on(mount: Path) -> None:
    """Writes nothing where nothing is missing: the kernel takes its time over that. Raises OSError."""
    if missing := jail_means.not_passed_on(mount):
        (mount / PASSED_ON).write_text(" ".join(f"+{name}" for name in missing))


def _controllers_of(mount: Path) -> set[str]:
    try:
        return set((mount / "cgroup.controllers").read_text().split())
    except OSError:
        return set()


def in_use(folders: Iterable[Path]) -> tuple[Figure, ...]:
    """The limits set in a VM's groups, with what it uses of them now. ``folders`` may name parents after their
    children, which set none. Raises OSError once they are gone."""
    found: dict[str, Figure] = {}
    for folder in folders:
        for file, reader in _LIMIT_READERS.items():
            if (folder / file).exists():
                figure = reader(folder)
                found.setdefault(figure.name, figure)
    return tuple(found.values())


def _cpu_of_v2(folder: Path) -> Figure:
    quota, period = (folder / "cpu.max").read_text().split()
    return _cpu(int(quota) / int(period) if quota != "max" else None, _throttled(folder, "throttled_usec", 1e6))


def _cpu_of_v1(folder: Path) -> Figure:
    quota = int((folder / "cpu.cfs_quota_us").read_text())
    period = int((folder / "cpu.cfs_period_us").read_text())
    return _cpu(quota / period if quota > 0 else None, _throttled(folder, "throttled_time", 1e9))


def _cpu(cpus: float | None, throttled_s: float) -> Figure:
    value = "no limit" if cpus is None else f"{cpus:g} CPUs" if cpus != 1 else "1 CPU"
    return Figure(name="cpu", value=value, used=f"throttled for {figures.duration(throttled_s)}")


def _throttled(folder: Path, name: str, per_s: float) -> float:
    rows = (line.split() for line in (folder / "cpu.stat").read_text().splitlines())
    return int(dict(rows).get(name, "0")) / per_s


def _memory_of_v2(folder: Path) -> Figure:
    return _memory(folder, "memory.max", "memory.current")


def _memory_of_v1(folder: Path) -> Figure:
    return _memory(folder, "memory.limit_in_bytes", "memory.usage_in_bytes")


def _memory(folder: Path, limit: str, use: str) -> Figure:
    most = (folder / limit).read_text().strip()
    value = "no limit" if most == "max" else figures.size(int(most))
    return Figure(name="memory", value=value, used=figures.size(int((folder / use).read_text())))


def _pids(folder: Path) -> Figure:
    most, now = ((folder / file).read_text().strip() for file in ("pids.max", "pids.current"))
    return Figure(name="threads", value="no limit" if most == "max" else most, used=now)


# The file that shows that a folder holds the limit; each controller of version 1 has a folder of its own.
_LIMIT_READERS: Mapping[str, Callable[[Path], Figure]] = {
    "cpu.max": _cpu_of_v2,
    "cpu.cfs_quota_us": _cpu_of_v1,
    "memory.max": _memory_of_v2,
    "memory.limit_in_bytes": _memory_of_v1,
    "pids.max": _pids,
}


async def remove(folders: Iterable[Path]) -> None:
    """Kill what is left in the groups and remove them. Idempotent. Raises InternalError, once all others are gone."""
    groups = tuple(folders)
    await until_gone(lambda: try_to_remove(groups))


async def until_gone(attempt: Callable[[], Mapping[Path, str]]) -> None:
    """Repeat ``attempt``, which blocks and returns what stays and why, in threads. Raises InternalError naming that."""
    left: Mapping[Path, str] = {}
    try:
        async with asyncio.timeout(_REMOVAL_DEADLINE_S):
            while left := await to_its_end(attempt):
                await asyncio.sleep(_REMOVAL_RETRY_S)  # a killed process leaves its group a little later
    except TimeoutError:
        stays = ", ".join(f"{folder} ({reason})" for folder, reason in left.items())
        raise InternalError(
            f"Control groups can't be removed: {stays}",
            remedy=f"See what runs in them: cat {' '.join(str(folder / MEMBERS) for folder in left)}",
        ) from None


def try_to_remove(folders: Iterable[Path]) -> dict[Path, str]:
    """Remove the groups that go at once and kill what is left in the others; those, and why they stay.

    Waits for a lock of the kernel, 10 ms and more while another VM is moved.
    """
    left: dict[Path, str] = {}
    for folder in folders:
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError as error:
            left[folder] = error.strerror or str(error)
            if error.errno == errno.EBUSY:
                _kill_members(folder)
    return left


def _kill_members(folder: Path) -> None:
    try:
        pids = (folder / MEMBERS).read_text().split()
    except FileNotFoundError:
        return
    for pid in pids:
        try:
            ProcessId.of(int(pid)).kill()
        except ProcessLookupError:
            continue
