"""A folder that is this user's alone to change. Whoever may change another's can put a socket or a link of their own
where the engine's socket, lock and log are looked for, as in /tmp, where names are known beforehand."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from engine.errors import NotReadyError

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def make_own_folder(path: Path) -> None:
    """Make it, for its owner only, where it is missing. Raises NotReadyError, also for one that is not our own."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    require_own_folder(path)


def require_own_folder(path: Path) -> None:
    """Raises NotReadyError for what is a link or no folder, belongs to another user, or can be changed by others."""
    try:
        found = path.lstat()
        above = path.absolute().parent.stat()
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    if stat.S_ISLNK(found.st_mode):
        raise _unusable(path, "it is a symbolic link, which may lead anywhere")
    if not stat.S_ISDIR(found.st_mode):
        raise _unusable(path, "it is no folder")
    if found.st_uid != os.geteuid():
        raise _unusable(path, f"it belongs to user {found.st_uid}")
    if found.st_mode & _OTHERS_WRITE:
        raise _unusable(path, "other users may change what is in it", f"Close it: chmod go-w {path}")
    if above.st_uid not in (0, os.geteuid()):
        raise _unusable(path, f"it lies in a folder of user {above.st_uid}, who may put another in its place")


def _unusable(path: Path, why: str, remedy: str = "") -> NotReadyError:
    own = "Run as the user that owns it, or set VMDECK_RUNTIME_DIR to a folder of your own"
    return NotReadyError(f"The runtime folder {path} can't be used: {why}", remedy=remedy or own)
