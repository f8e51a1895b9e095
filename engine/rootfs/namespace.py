"""Namespaces that images are built in: what a build mounts and starts ends with it, however that ends.

A user is root there, by a map of their subordinate ids. A killed engine takes its builders along: each is told by the
kernel (prctl(2), PR_SET_PDEATHSIG), and with the first process of a PID namespace all others in it end.
"""

from __future__ import annotations

from pathlib import Path

from engine.folders import is_root


def namespace(*further: str) -> tuple[str, ...]:
    """Command prefix: mounts and processes of its own, and what ``further`` options of unshare(1) say."""
    own_users = () if is_root() else ("--map-root-user", "--map-auto")
    # The root of a chroot need not be a mount, and then unshare can't make it private; builders unmount by themselves.
    mounts = () if _root_is_mount() else ("--propagation", "unchanged")
    return (
        *("setpriv", "--pdeathsig", "KILL", "unshare"),
        *(*own_users, "--mount", "--pid", "--fork", "--kill-child", *mounts, *further, "--"),
    )


def _root_is_mount(table: Path = Path("/proc/self/mountinfo")) -> bool:
    return any(line.split()[4] == "/" for line in table.read_text().splitlines())
