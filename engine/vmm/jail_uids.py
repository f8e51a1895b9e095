"""User ids for jails: each live VM has one that no other VM on this host has, whichever engine started it.

A claim is a lock on one byte of a file that all engines share, the byte numbered as the user id. The kernel gives it
back when the engine ends, however. Firecracker's jails show their user ids as the owners of their folders, too.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import weakref
from collections.abc import Collection
from pathlib import Path

from engine.errors import BusyError, NotReadyError
from engine.host.jail_means import CLAIMS

_RETRY_AFTER_S = 5
_FLOCK = "@hhqqi0q"  # struct flock of fcntl.h: type, whence, start, length, pid
_HELD_BY_ANOTHER = {errno.EAGAIN, errno.EACCES}


class ClaimedUid:
    """A user id that is ours until ``release``, or until nobody refers to this any more."""

    def __init__(self, uid: int, lock: int) -> None:
        self.uid = uid
        self._close = weakref.finalize(self, os.close, lock)

    def release(self) -> None:
        """Idempotent."""
        self._close()


def claim(uids: range, taken: Collection[int] = (), claims: Path = CLAIMS) -> ClaimedUid:
    """The first of ``uids`` that nobody has claimed and that is not ``taken``.

    Raises BusyError where there is none, NotReadyError where claims can't be made.
    """
    try:
        claims.parent.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(claims, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise NotReadyError(
            f"User ids for jails can't be claimed in {claims}: {error.strerror}",
            remedy=f"Make {claims.parent} a folder that root can write, or turn the jail off in the settings.",
        ) from None
    for uid in uids:
        if uid not in taken and _locked(lock, uid):
            return ClaimedUid(uid, lock)
    os.close(lock)
    raise BusyError(f"All {len(uids)} user ids for jails are taken", retry_after_s=_RETRY_AFTER_S)


def claimed(uids: range, claims: Path = CLAIMS) -> set[int]:
    """Those of ``uids`` that a live VM of any engine has claimed; none where no claim was ever made. Raises OSError."""
    try:
        file = os.open(claims, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return set()
    try:
        return {uid for uid in uids if _ask(file, fcntl.F_OFD_GETLK, uid) != fcntl.F_UNLCK}
    finally:
        os.close(file)


def folder_owners(jails: Path) -> set[int]:
    """User ids that own the root of a jail of Firecracker below ``jails``: ``<program>/<id>/root``."""
    owners: set[int] = set()
    for root in jails.glob("*/*/root"):
        with contextlib.suppress(FileNotFoundError):  # its engine has just removed it
            owners.add(root.stat().st_uid)
    return owners


def _locked(lock: int, uid: int) -> bool:
    """Locks of an open file, not of a process: two claims of one engine exclude each other too."""
    try:
        _ask(lock, fcntl.F_OFD_SETLK, uid)
    except OSError as error:
        if error.errno in _HELD_BY_ANOTHER:
            return False
        os.close(lock)
        raise
    return True


def _ask(file: int, command: int, uid: int) -> int:
    """Lock, or look for a lock, for writing on the byte of ``uid``; the type of lock that the kernel names."""
    answer = fcntl.fcntl(file, command, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, uid, 1, 0))
    return struct.unpack(_FLOCK, answer)[0]
