"""What Firecracker's jailer needs of this host beside root.

It is looked at before a VMM is chosen, so that where a jail can't work another VMM is taken. Nothing is made for that.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from engine.errors import NotReadyError
from engine.host.control_groups import CONTROLLERS, hierarchy_of
from engine.host.kernel_file import told
from engine.host.room import existing_parent

_CAPABILITY_BITS = {"CHOWN": 0, "KILL": 5, "SETGID": 6, "SETUID": 7, "SYS_ADMIN": 21, "MKNOD": 27}  # linux/capability.h
_ALL_IDS = ["0", "0", "4294967295"]
_UNFIT_MOUNTS = {
    os.ST_NODEV: ("nodev", "opens device nodes"),
    os.ST_NOEXEC: ("noexec", "executes a copy of Firecracker"),
}


def require_jailable(jails: Path, proc: Path = Path("/proc")) -> None:
    """``jails`` is the folder for jails, which may not be there yet. Raises NotReadyError: what is missing."""
    _require_privilege(proc / "self")
    _require_control_groups(proc / "mounts")
    require_fit_mount(existing_parent(jails))


def require_fit_mount(folder: Path) -> None:
    """Raises NotReadyError where mount options keep a jail from working."""
    flags = os.statvfs(folder).f_flag
    for flag, (option, need) in _UNFIT_MOUNTS.items():
        if flags & flag:
            raise NotReadyError(
                f"Firecracker can't be jailed in {folder}: its file system is mounted {option}, and a jail {need}",
                remedy=f"Mount it without {option}, or set VMDECK_DATA_DIR to a folder on another file system.",
            )


def _require_privilege(process: Path) -> None:
    if shutil.which("unshare", path=os.defpath) is None:
        raise NotReadyError(
            "Firecracker can't be jailed here: there is no unshare, which gives it an empty network",
            remedy="Install it: apt-get install util-linux",
        )
    if (process / "uid_map").read_text().split() != _ALL_IDS:
        raise NotReadyError(
            "Firecracker can't be jailed here: in a user namespace no device node can be made",
            remedy="Run vmdeck outside of it (a container: not rootless, without remapped users).",
        )
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    effective = int(status["CapEff"], 16)
    if missing := [name for name, bit in _CAPABILITY_BITS.items() if not effective >> bit & 1]:
        raise NotReadyError(
            f"Firecracker can't be jailed here: this root lacks {', '.join(f'CAP_{name}' for name in missing)}",
            remedy="Give the service or container these capabilities.",
        )


def _require_control_groups(mounts: Path) -> None:
    found = hierarchy_of(mounts)
    remedy = "Mount the cgroup2 file system as systemd does; in a container: give it its own, writable."
    if found.missing:
        raise NotReadyError(
            f"Firecracker can't be jailed here: there is no control group for {', '.join(found.missing)}", remedy=remedy
        )
    for folder in found.folders:
        if not os.access(folder, os.W_OK | os.X_OK):
            raise NotReadyError(f"Firecracker can't be jailed here: {folder} can't be written", remedy=remedy)
        if found.version == 2 and not _passes_on(folder):
            raise NotReadyError(
                f"Firecracker can't be jailed here: {folder} has processes in it and can't pass its controllers on",
                remedy="In a container: start vmdeck below an init that moves all processes to groups of their own.",
            )


def _passes_on(mount: Path) -> bool:
    """Whether groups below this one of version 2 have the controllers, or can get them. Only the root of all may have
    processes and pass its controllers on; it alone has no type."""
    passed = set((told(mount / "cgroup.subtree_control") or "").split())
    return passed >= set(CONTROLLERS) or not (mount / "cgroup.type").exists() or not told(mount / "cgroup.procs")
