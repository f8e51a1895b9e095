"""Firecracker's jailer: the values that describe a jail, and the files placed in it.

The jailer makes a chroot with the few device nodes that Firecracker needs, enters the control groups, and becomes an
unprivileged user before it turns into Firecracker. It needs root.

The folder that Firecracker sees is its user's, so whoever has taken it over may put anything under any name there. The
engine makes new names in it, and changes what it holds a descriptor of; it follows none.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader, BufferedWriter
from pathlib import Path

from engine.errors import NotReadyError
from engine.host.jailer_needs import require_fit_mount
from engine.settings import Settings
from engine.vmm import jail_uids
from engine.vmm.base import Confinement, VmSpec
from engine.vmm.cgroups import CONTROLLERS, CgroupLimits, Cgroups
from engine.vmm.jail_uids import ClaimedUid
from engine.vmm.quarters import WITHOUT_CORE, Placement, Traces

_log = logging.getLogger(__name__)

CGROUP_PREFIX = "vmdeck"
_MIB = 1024 * 1024
_VMM_MEMORY_MIB = 64  # Firecracker's own, with the page cache that loading a kernel needs at once
_VMM_THREADS = 8
_FILE_MAX_BYTES = _MIB  # Firecracker writes no file but a snapshot's
_OWN_NAMESPACES = ("unshare", "--net", "--ipc", "--")  # the jailer makes neither
_FICLONE = 0x40049409  # linux/fs.h
_OTHER_FILESYSTEM = {errno.EXDEV, errno.EMLINK, errno.EPERM}  # what keeps link(2) from doing it
_NO_REFLINK = {errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS}


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """Of the process, as setrlimit(2) has them. None leaves what the engine has."""

    open_files: int | None = 1024
    file_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Jail:
    """One VM's jail. ``base`` holds all jails, best on the file system of images and snapshots.

    Its user id is claimed until it is left.
    """

    id: str
    jailer: Path
    binary: Path
    base: Path
    uid: ClaimedUid
    gid: int
    limits: CgroupLimits
    cgroups: Cgroups
    resources: ResourceLimits = ResourceLimits()
    cgroup_prefix: str = CGROUP_PREFIX

    @property
    def folder(self) -> Path:
        """The root that Firecracker sees; the layout below ``base`` is the jailer's."""
        return _jails(self.base, self.binary) / self.id / "root"

    @property
    def traces(self) -> Traces:
        groups = self.cgroups.folders(f"{self._group}/{self.id}") + self.cgroups.folders(self._group)
        return Traces((self.folder.parent,), groups)

    @property
    def _group(self) -> str:
        """The jailer makes its group below another, which is this VM's alone too: who could tell when to remove a
        shared one?"""
        return f"{self.cgroup_prefix}-{self.id}"

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The jailer, and after it what Firecracker gets besides its id.

        Abstract unix sockets belong to the network namespace, and no chroot hides the host's.
        """
        command = [
            *_OWN_NAMESPACES,
            *WITHOUT_CORE,
            str(self.jailer),
            *("--id", self.id),
            *("--exec-file", str(self.binary)),
            *("--uid", str(self.uid.uid)),
            *("--gid", str(self.gid)),
            *("--chroot-base-dir", str(self.base)),
            *("--cgroup-version", str(self.cgroups.version)),
            *("--parent-cgroup", self._group),
        ]
        for file, value in self.limits.files(self.cgroups.version):
            command += ["--cgroup", f"{file}={value}"]
        for name, value in (("no-file", self.resources.open_files), ("fsize", self.resources.file_bytes)):
            if value is not None:
                command += ["--resource-limit", f"{name}={value}"]
        return [*command, "--", *arguments]

    def prepare(self) -> None:
        """Make the root, which is from then on the uid's. Raises OSError, NotReadyError."""
        self.folder.parent.mkdir(mode=0o700, parents=True)
        require_fit_mount(self.base)
        self.folder.mkdir(mode=0o700)
        os.chown(self.folder, self.uid.uid, self.gid)

    def own(self, name: str) -> None:
        os.chown(self.folder / name, self.uid.uid, self.gid, follow_symlinks=False)

    def leave(self) -> None:
        self.uid.release()

    def place(self, source: Path, name: str, *, writable: bool = False) -> Placement:
        """Bring a file in; the jail may read it, or own it if ``writable``, which only a hard link can make useful.

        A link shares owner and mode with its source, so a source that others can't read becomes readable for the
        jails' group. Raises OSError, NotReadyError.
        """
        target = self.folder / name
        source = source.resolve(strict=True)
        with source.open("rb") as reader:
            if _linked(source, target):
                if writable:
                    os.fchown(reader.fileno(), self.uid.uid, self.gid)
                else:
                    _let_read(reader.fileno(), self.gid)
                return Placement.LINK
            if writable:
                raise NotReadyError(
                    f"What a jailed Firecracker writes can't reach {source.parent}: it is on another file system than "
                    f"the jails in {self.base}",
                    remedy="Have data and jails on one file system.",
                )
            with target.open("xb") as writer:
                how = _copied(reader, writer)
                _let_read(writer.fileno(), self.gid)
        if how is Placement.COPY:
            _log.warning(
                "copied a file into a jail, which takes time and room: no link or reflink leads there",
                extra={"source": str(source), "jail": str(self.base)},
            )
        return how


@dataclass(frozen=True, slots=True)
class JailPolicy:
    """What all jails of an engine have in common. ``for_vm`` gives each its own uid of the range."""

    jailer: Path
    binary: Path
    base: Path
    uids: range
    gid: int
    cgroups: Cgroups
    cgroup_prefix: str = CGROUP_PREFIX

    @classmethod
    def of_host(cls, settings: Settings, binary: Path, jailer: Path) -> JailPolicy:
        """As the settings have it, with this host's control groups. Raises NotReadyError where it has none."""
        return cls(
            jailer=jailer,
            binary=binary,
            base=settings.jails_dir,
            uids=settings.jail_uids,
            gid=settings.jail_gid,
            cgroups=Cgroups.of_host(),
        )

    @property
    def confinement(self) -> Confinement:
        groups = f"control group v{self.cgroups.version} ({', '.join(CONTROLLERS)})"
        users = f"users {self.uids.start} to {self.uids.stop - 1}"
        return Confinement(True, f"jailer: {users}, group {self.gid}, chroot, {groups}, no network, seccomp")

    def for_vm(self, vm_id: str, spec: VmSpec, *, saveable: bool = False) -> Jail:
        """A jail with a uid that no other jail on this host has, QEMU's included; ``leave`` it in the end.

        Only a ``saveable`` VM may write a file as large as its memory. Raises NotReadyError without root, BusyError
        where every uid is taken.
        """
        if os.geteuid() != 0:
            raise NotReadyError(
                "Firecracker's jailer needs root, and this engine runs as another user",
                remedy="Run vmdeck as root, as the service does, or allow Firecracker without its jail.",
            )
        uid = jail_uids.claim(self.uids, jail_uids.folder_owners(self.base))
        memory_bytes = (spec.memory_mib + _VMM_MEMORY_MIB) * _MIB
        saved_bytes = spec.memory_mib * _MIB if saveable else 0
        return Jail(
            id=vm_id,
            jailer=self.jailer,
            binary=self.binary,
            base=self.base,
            uid=uid,
            gid=self.gid,
            limits=CgroupLimits(float(spec.vcpus), memory_bytes, spec.vcpus + _VMM_THREADS),
            cgroups=self.cgroups,
            resources=ResourceLimits(file_bytes=saved_bytes + _FILE_MAX_BYTES),
            cgroup_prefix=self.cgroup_prefix,
        )


def _jails(base: Path, binary: Path) -> Path:
    return base / binary.name


def _linked(source: Path, target: Path) -> bool:
    """Whether ``target`` could be made a link of ``source``. Raises OSError, also where there is such a name."""
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in _OTHER_FILESYSTEM:
            raise
        return False
    return True


def _copied(reader: BufferedReader, writer: BufferedWriter) -> Placement:
    try:
        fcntl.ioctl(writer, _FICLONE, reader.fileno())
    except OSError as error:
        if error.errno not in _NO_REFLINK:
            raise
    else:
        return Placement.REFLINK
    shutil.copyfileobj(reader, writer)
    return Placement.COPY


def _let_read(file: int, gid: int) -> None:
    found = os.fstat(file)
    if found.st_mode & stat.S_IROTH or (found.st_gid == gid and found.st_mode & stat.S_IRGRP):
        return
    os.fchown(file, -1, gid)
    os.fchmod(file, stat.S_IMODE(found.st_mode) | stat.S_IRGRP)
