"""Sharing the blocks of a file with another (a reflink), on file systems that can: btrfs, XFS, bcachefs and others."""

from __future__ import annotations

import errno
import fcntl

_FICLONE = 0x40049409  # linux/fs.h
_CAN_NOT = {errno.EXDEV, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS, errno.EPERM}


def reflinked(source: int, target: int) -> bool:
    """Make the file open as ``target`` share all of ``source``. False where that can't be; raises OSError otherwise."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _CAN_NOT:
            return False
        raise
    return True
