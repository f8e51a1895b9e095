"""Files that an operator names, opened so that none but a regular one is read, and judged by who could alter them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from engine.errors import NotReadyError

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def open_regular(path: Path, *, follow: bool = True) -> BinaryIO:
    """Open for reading. Raises OSError, also for what is no regular file: devices and FIFOs may never come to an end.

    Without ``follow`` a link in the last place of ``path`` is refused.
    """
    # Without waiting: a FIFO would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def refuse_foreign(path: Path) -> None:
    """Raises NotReadyError where another user than root and the caller could put something else at ``path``.

    That is one who owns it or a folder on the way to it, or may write there; in a folder as /tmp, where each may only
    alter what is their own, the owner decides. ``path`` itself may be no link.
    """
    place = path.parent.resolve() / path.name
    trusted = _trusted()
    for each in (place, *place.parents):
        try:
            status = each.lstat()
        except OSError as error:
            raise NotReadyError(f"{each} can't be looked at: {error.strerror}", remedy="Name another place") from None
        if stat.S_ISLNK(status.st_mode):
            raise NotReadyError(f"{each} is a link, and that is not followed", remedy="Put there what it names")
        if status.st_uid not in trusted:
            raise NotReadyError(
                f"{each} belongs to user {status.st_uid}, who could put anything there",
                remedy="Copy it to a folder of your own, as one that `mktemp -d` makes, and name that",
            )
        sticky_folder = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX and each != place
        if status.st_mode & _OTHERS_WRITE and not sticky_folder:
            raise NotReadyError(
                f"{each} can be written by others than its owner", remedy=f"Take that from them: chmod go-w {each}"
            )


def refuse_foreign_tree(root: Path) -> None:
    """As ``refuse_foreign``, for all below ``root`` too; links to files are refused, those to folders never entered."""
    refuse_foreign(root)
    trusted = _trusted()
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(folder, name)
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                if name in names:
                    raise NotReadyError(f"{path} is a link, and that is not followed", remedy="Put there what it names")
            elif status.st_uid not in trusted or status.st_mode & _OTHERS_WRITE:
                raise NotReadyError(
                    f"{path} belongs to user {status.st_uid} and has mode {stat.S_IMODE(status.st_mode):o}: another "
                    "than you could alter it",
                    remedy=f"Make it yours: chown -R, then chmod -R go-w {root}",
                )
            elif name in names and not stat.S_ISREG(status.st_mode):
                raise NotReadyError(f"{path} is no regular file", remedy=f"Take it out of {root}")


def _trusted() -> frozenset[int]:
    """Root, this user, and who became root by sudo, whom root's own programs have vouched for."""
    user = os.geteuid()
    by_sudo = os.environ.get("SUDO_UID", "") if user == 0 else ""
    return frozenset({0, user, *([int(by_sudo)] if by_sudo.isdecimal() else [])})
