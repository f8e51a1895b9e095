"""What confines a QEMU process: the nearest equal of the jail that Firecracker's jailer makes.

A user and group that own nothing, no privilege and no way to any, control groups, resource limits, an empty network
and IPC namespace. Files come to it as descriptors (``qemu_files``), its seccomp filter is its own (``qemu_command``).
It needs root; as another user, or where the settings say so, QEMU runs as the engine's user.
"""

from __future__ import annotations

import os
import resource
import shlex
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engine.errors import NotReadyError
from engine.host import jail_means
from engine.host.control_groups import CONTROLLERS
from engine.host.jail_means import MEMBERS, may
from engine.host.kvm import DEVICE as KVM
from engine.host.process import ProcessId
from engine.settings import Settings
from engine.vmm import jail_uids, qemu_files
from engine.vmm.base import Confinement, VmSpec
from engine.vmm.cgroups import CgroupLimits, Cgroups
from engine.vmm.jail_uids import ClaimedUid
from engine.vmm.launch import beside_engine
from engine.vmm.qemu_files import HandedFiles
from engine.vmm.quarters import Traces

_MIB = 1024 * 1024
# Beside guest memory: QEMU's own, 90 MiB at most with a full translation buffer, and page cache of kernel and image.
_VMM_MEMORY_MIB = 192
_VMM_CPUS = 0.5  # devices and monitor work beside the virtual CPUs
_VMM_THREADS = 80  # up to 64 for the disk, and a few of QEMU's own
_OPEN_FILES = 1024
_SAVED_STATE_MAX_BYTES = 256 * _MIB  # devices only: 65 KB as a rule; memory goes another way
_FILE_SIZE_UNIT = 512  # of the shell's ulimit
_SANDBOX = "QEMU's seccomp filter"


class QemuQuarters(Protocol):
    """Where one QEMU process lives: its jail, or none."""

    @property
    def confinement(self) -> Confinement: ...

    @property
    def traces(self) -> Traces: ...

    def enter(self) -> None:
        """Make what ``traces`` names, which is to be removed also after a failure. Raises OSError."""
        ...

    def files(self, spec: VmSpec, *, incoming: bool) -> AbstractAsyncContextManager[HandedFiles]:
        """What the machine reads, as the process may. Raises NotReadyError."""
        ...

    def command(self, arguments: Sequence[str]) -> list[str]:
        """To start QEMU here with ``arguments``, itself first."""
        ...

    def confine(self, vmm: ProcessId) -> None:
        """Before the guest of a clone runs: put its process where ``enter`` made room. Blocks. Raises OSError."""
        ...

    def leave(self) -> None:
        """The process has ended. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Unjailed:
    """QEMU runs as the engine's user; ``confinement`` says why."""

    confinement: Confinement
    traces: Traces = field(default_factory=Traces)

    def for_vm(
        self, vm_id: str, spec: VmSpec, *, saveable: bool = False, incoming: bool = False, added_bytes: int = 0
    ) -> Unjailed:
        return self

    def enter(self) -> None:
        """Nothing is to be made."""

    def files(self, spec: VmSpec, *, incoming: bool) -> AbstractAsyncContextManager[HandedFiles]:
        return nullcontext(qemu_files.by_path(spec))

    def command(self, arguments: Sequence[str]) -> list[str]:
        return beside_engine(arguments)

    def confine(self, vmm: ProcessId) -> None:
        """There is nowhere."""

    def leave(self) -> None:
        """Nothing was taken."""


@dataclass(frozen=True, slots=True)
class QemuJail:
    """One VM's jail. Its user id is claimed until it is left."""

    name: str
    uid: ClaimedUid
    gid: int
    groups: tuple[int, ...]
    cgroups: Cgroups | None
    limits: CgroupLimits
    file_bytes: int
    joins_late: bool
    """The engine puts the process into its groups while it starts, since the kernel takes its time over that."""
    namespaces: bool
    confinement: Confinement

    @property
    def traces(self) -> Traces:
        return Traces(cgroups=self.cgroups.folders(self.name) if self.cgroups else ())

    def enter(self) -> None:
        if self.cgroups is not None:
            self.cgroups.make(self.name, self.limits)

    def files(self, spec: VmSpec, *, incoming: bool) -> AbstractAsyncContextManager[HandedFiles]:
        return qemu_files.by_descriptor(spec, incoming=incoming)

    def confine(self, vmm: ProcessId) -> None:
        folders = self.traces.cgroups if self.joins_late and vmm.alive() else ()
        for folder in folders:
            _move(vmm.pid, folder)
        if folders and not vmm.alive():  # its number may by now be that of a process which is none of ours
            for folder in folders:
                if str(vmm.pid) in (folder / MEMBERS).read_text().split():
                    _move(vmm.pid, folder.parent)

    def leave(self) -> None:
        self.uid.release()

    def command(self, arguments: Sequence[str]) -> list[str]:
        """Into the groups and under the limits as root, then without any privilege."""
        folders = () if self.joins_late else self.traces.cgroups
        shut = [
            *(f"echo 0 > {shlex.quote(str(folder / MEMBERS))}" for folder in folders),
            "ulimit -c 0",
            f"ulimit -n {_no_more_than_ours(resource.RLIMIT_NOFILE, _OPEN_FILES)}",
            f"ulimit -f {_no_more_than_ours(resource.RLIMIT_FSIZE, self.file_bytes) // _FILE_SIZE_UNIT}",
            _limit_processes(_no_more_than_ours(resource.RLIMIT_NPROC, self.limits.pids)),
            'exec "$@"',
        ]
        identity = ["--reuid", str(self.uid.uid), "--regid", str(self.gid)]
        identity += ["--groups", ",".join(map(str, self.groups))] if self.groups else ["--clear-groups"]
        powers = ["--no-new-privs", "--inh-caps=-all", *(["--bounding-set=-all"] if may("setpcap") else [])]
        return [
            # Before the groups: making a network namespace takes twice as long where it is charged to a new group.
            *(("unshare", "--net", "--ipc", "--") if self.namespaces else ()),
            *("sh", "-c", " && ".join(shut), "sh"),
            *beside_engine(arguments, [*identity, *powers]),
        ]


@dataclass(frozen=True, slots=True)
class QemuJails:
    """What all jails of an engine have in common."""

    uids: range
    gid: int
    firecracker_jails: Path
    cgroups: Cgroups | None
    without_cgroups: str
    namespaces: bool
    device: Path | None
    """What the VMM must be able to open beside what it inherits."""

    @property
    def confinement(self) -> Confinement:
        return self._confinement(f"a user of its own ({self.uids[0]} to {self.uids[-1]})")

    def for_vm(
        self, vm_id: str, spec: VmSpec, *, saveable: bool = False, incoming: bool = False, added_bytes: int = 0
    ) -> QemuJail:
        """Only a ``saveable`` VM may write a file at all. The guest of an ``incoming`` one waits for its state.

        ``added_bytes``: of memory, to what guest and QEMU need. Raises BusyError, NotReadyError.
        """
        groups = jail_means.groups_that_open(self.device) if self.device else ()
        uid = jail_uids.claim(self.uids, jail_uids.folder_owners(self.firecracker_jails))
        return QemuJail(
            name=f"vmdeck-{vm_id}",
            uid=uid,
            gid=self.gid,
            groups=groups,
            cgroups=self.cgroups,
            limits=_limits(spec, added_bytes),
            file_bytes=_SAVED_STATE_MAX_BYTES if saveable else 0,
            joins_late=incoming,
            namespaces=self.namespaces,
            confinement=self._confinement(f"user {uid.uid}"),
        )

    def _confinement(self, user: str) -> Confinement:
        groups = (
            f"control group v{self.cgroups.version} ({', '.join(CONTROLLERS)})"
            if self.cgroups
            else f"no control group ({self.without_cgroups})"
        )
        network = "no network" if self.namespaces else "the host's network (making another is not permitted here)"
        return Confinement(True, ", ".join((user, groups, network, _SANDBOX)))


def quarters_of(settings: Settings, accelerator: str) -> QemuJails | Unjailed:
    """How QEMU is jailed on this host, or that and why it is not."""
    if (reason := _why_unjailed(settings)) is not None:
        return Unjailed(Confinement(False, f"{reason}, under {_SANDBOX} only"))
    cgroups, hindrance = _usable_cgroups()
    return QemuJails(
        uids=settings.jail_uids,
        gid=settings.jail_gid,
        firecracker_jails=settings.jails_dir,
        cgroups=cgroups,
        without_cgroups=hindrance,
        namespaces=may("sys_admin"),
        device=KVM if accelerator == "kvm" else None,
    )


def _why_unjailed(settings: Settings) -> str | None:
    if settings.jail == "off":
        return "the jail is turned off in the settings: QEMU runs as the engine's user"
    if os.geteuid() != 0:
        return "only root can give QEMU a user of its own: it runs as the engine's"
    if (hindrance := jail_means.without_users(settings.jail_uids)) is not None:
        return f"{hindrance}: QEMU runs as root"
    return None


def _usable_cgroups() -> tuple[Cgroups | None, str]:
    try:
        cgroups = Cgroups.of_host()
    except NotReadyError as error:
        return None, error.message
    hindrance = cgroups.hindrance()
    return (None, hindrance) if hindrance else (cgroups, "")


def _limits(spec: VmSpec, added_bytes: int) -> CgroupLimits:
    return CgroupLimits(
        cpus=spec.vcpus + _VMM_CPUS,
        memory_bytes=(spec.memory_mib + _VMM_MEMORY_MIB) * _MIB + added_bytes,
        pids=spec.vcpus + _VMM_THREADS,
    )


def _move(pid: int, group: Path) -> None:
    with suppress(ProcessLookupError):  # it has ended
        (group / MEMBERS).write_text(str(pid))


def _no_more_than_ours(limit: int, wanted: int) -> int:
    """A hard limit can be lowered by anyone and raised by hardly anyone, root in a container included."""
    hard = resource.getrlimit(limit)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def _limit_processes(number: int) -> str:
    """The user's processes and threads; shells differ in the letter."""
    return f"{{ ulimit -u {number} 2>/dev/null || ulimit -p {number}; }}"
