"""Who may change the files that a service of root runs: root alone, or others too."""

from __future__ import annotations

import grp
import pwd
import stat
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import engine


def program_files(program: Path) -> tuple[Path, ...]:
    """What running ``program`` of this installation reads code from."""
    package = Path(engine.__file__).parent
    return (program, Path(sys.executable), package, Path(sysconfig.get_path("purelib")))


def open_to_others(paths: Iterable[Path], root: int = 0) -> Path | None:
    """The first file or folder, those above included, that others than the user ``root`` may write."""
    for path in paths:
        for each in (path, path.resolve()):
            for place in (*reversed(each.parents), each):
                if _is_open(place, root):
                    return place
    return None


def _is_open(place: Path, root: int) -> bool:
    found = place.stat()
    if found.st_uid not in (0, root):
        return True
    if found.st_mode & stat.S_ISVTX and stat.S_ISDIR(found.st_mode):
        return False  # as /tmp: others add to it, and touch nothing that is there
    return bool(found.st_mode & stat.S_IWOTH) or bool(found.st_mode & stat.S_IWGRP and _has_members(found.st_gid, root))


def _has_members(gid: int, root: int) -> bool:
    """Debian's /usr/local belongs to a group that usually is empty."""
    try:
        named = [name for name in grp.getgrgid(gid).gr_mem if name != "root"]
    except KeyError:
        named = []
    return bool(named) or any(user.pw_gid == gid for user in pwd.getpwall() if user.pw_uid not in (0, root))
