"""What a jail of a VMM needs of this host: predicates that drivers go by and the doctor's check tells of.

Each says what is in the way, in words for people, or None. They look and change nothing; what only trying can show is
told by whoever makes the jail (engine/vmm).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from engine.errors import NotReadyError
from engine.host.control_groups import CONTROLLERS

CLAIMS = Path("/run/vmdeck-jails/uids")
MEMBERS = "cgroup.procs"
PASSED_ON = "cgroup.subtree_control"
# Of linux/capability.h.
_CAPABILITY_BITS = {"chown": 0, "kill": 5, "setgid": 6, "setuid": 7, "setpcap": 8, "sys_admin": 21, "mknod": 27}
_NOT_THE_TOP = "cgroup.type"  # a file that every group but the host's own topmost has


def may(capability: str, proc: Path = Path("/proc")) -> bool:
    """Whether this process has a capability ("setuid") in effect."""
    return bool(_effective_capabilities(proc) >> _CAPABILITY_BITS[capability] & 1)


@cache
def _effective_capabilities(proc: Path) -> int:
    status = dict(line.split(":", 1) for line in (proc / "self" / "status").read_text().splitlines())
    return int(status["CapEff"], 16)


def without_users(uids: range, proc: Path = Path("/proc")) -> str | None:
    """Why root can't give a VMM a user id of ``uids``."""
    if not (may("setuid", proc) and may("setgid", proc)):
        return "this root may not change its user"
    if not _mapped(uids, proc / "self" / "uid_map"):
        return "this user namespace has no user ids for jails"
    return None


def _mapped(uids: range, uid_map: Path) -> bool:
    """Whether one extent of the user namespace holds all of ``uids``."""
    for line in uid_map.read_text().splitlines():
        first, _, count = map(int, line.split())
        if first <= uids[0] and uids[-1] < first + count:
            return True
    return False


def without_claims(claims: Path = CLAIMS) -> str | None:
    """Why user ids can't be claimed in the file ``claims``, made with its folder where they are missing."""
    place = next(path for path in (claims, claims.parent, claims.parent.parent) if path.exists() or path == Path("/"))
    fit = place.is_dir() or place == claims
    return None if fit and os.access(place, os.W_OK) else f"{place} can't be written"


def without_groups(version: int, mounts: Iterable[Path]) -> str | None:
    """Why no control group can be made right below ``mounts``."""
    for mount in dict.fromkeys(mounts):
        if not os.access(mount, os.W_OK | os.X_OK):
            return f"{mount} can't be written"
        if version == 2 and not_passed_on(mount) and (mount / _NOT_THE_TOP).exists() and _inhabited(mount):
            return f"processes lie in {mount} itself, so its controllers can't be passed on"
    return None


def not_passed_on(mount: Path) -> list[str]:
    """Controllers of version 2 that groups right below ``mount`` don't have."""
    passed_on = (mount / PASSED_ON).read_text().split() if (mount / PASSED_ON).exists() else []
    return [name for name in CONTROLLERS if name not in passed_on]


def _inhabited(group: Path) -> bool:
    return (group / MEMBERS).exists() and bool((group / MEMBERS).read_text().strip())


def groups_that_open(device: Path) -> tuple[int, ...]:
    """The groups that a process with no other right needs to read and write ``device``. Raises NotReadyError."""
    try:
        found = device.stat()
    except OSError as error:
        raise NotReadyError(f"{device} can't be used: {error.strerror}", remedy="Run vmdeck doctor") from None
    if found.st_mode & 0o006 == 0o006:
        return ()
    if found.st_mode & 0o060 == 0o060 and found.st_gid != 0:
        return (found.st_gid,)
    raise NotReadyError(
        f"A jailed QEMU can't open {device}: only root may",
        remedy=f"Give it to a group, as udev does: chgrp kvm {device} && chmod 660 {device}",
    )
