"""What Firecracker's jailer needs of this host beside root.

It is looked at before a VMM is chosen, so that where a jail can't work another VMM is taken. Nothing is made for that.
What the jail of any VMM needs is ``jail_means``.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from engine.errors import NotReadyError
from engine.host import jail_means
from engine.host.control_groups import hierarchy_of
from engine.host.room import existing_parent

_CAPABILITIES = ("chown", "kill", "setgid", "setuid", "sys_admin", "mknod")
_ALL_IDS = ["0", "0", "4294967295"]
_UNFIT_MOUNTS = {
    os.ST_NODEV: ("nodev", "opens device nodes"),
    os.ST_NOEXEC: ("noexec", "executes a copy of Firecracker"),
}


def require_jailable(jails: Path, proc: Path = Path("/proc")) -> None:
    """``jails`` is the folder for jails, which may not be there yet. Raises NotReadyError: what is missing."""
    _require_privilege(proc)
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


def _require_privilege(proc: Path) -> None:
    if shutil.which("unshare", path=os.defpath) is None:
        raise NotReadyError(
            "Firecracker can't be jailed here: there is no unshare, which gives it an empty network",
            remedy="Install it: apt-get install util-linux",
        )
    if (proc / "self" / "uid_map").read_text().split() != _ALL_IDS:
        raise NotReadyError(
            "Firecracker can't be jailed here: in a user namespace no device node can be made",
            remedy="Run vmdeck outside of it (a container: not rootless, without remapped users).",
        )
    if missing := [f"CAP_{name.upper()}" for name in _CAPABILITIES if not jail_means.may(name, proc)]:
        raise NotReadyError(
            f"Firecracker can't be jailed here: this root lacks {', '.join(missing)}",
            remedy="Give the service or container these capabilities.",
        )


def _require_control_groups(mounts: Path) -> None:
    found = hierarchy_of(mounts)
    reason = jail_means.without_groups(found.version, found.folders)
    if found.missing:
        reason = f"there is no control group for {', '.join(found.missing)}"
    if reason is not None:
        raise NotReadyError(
            f"Firecracker can't be jailed here: {reason}",
            remedy="Mount the cgroup2 file system as systemd does; in a container: give it its own, writable, below an "
            "init that moves all processes to groups of their own.",
        )
