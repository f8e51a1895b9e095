"""Folders that appear whole or not at all: built under a hidden name beside their place, synced, then renamed.

A builder holds a lock on its hidden folder, so one that a killed process left is told from one in use and removed.
Downloads keep what has arrived in such folders too (engine/setup/partial.py), for a while after their writer is gone.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from engine.errors import NotReadyError
from engine.rootfs.namespace import namespace

Result = TypeVar("Result")

SUFFIX = ".building"
PARTIAL_SUFFIX = ".partial"
_PARTIAL_KEPT_S = 7 * 24 * 3600
_claiming = threading.Lock()
"""Between a folder's making and the lock on it, it is like one that was abandoned."""
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@asynccontextmanager
async def staged_folder(target: Path) -> AsyncGenerator[Path, None]:
    """A new folder that becomes ``target`` when the body ends well, in place of an older one, and is removed otherwise.

    Raises NotReadyError where the disk is full or the place may not be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        await in_thread(remove_abandoned, target.parent)
        folder, lock = _hidden_folder(target)
    except OSError as error:
        raise explained(error, target) from error
    try:
        yield folder
        await in_thread(_publish, folder, target)
    except OSError as error:
        raise explained(error, target) from error
    finally:
        try:
            await in_thread(_clear, folder)
        finally:
            os.close(lock)


def _hidden_folder(target: Path) -> tuple[Path, int]:
    """A new folder beside ``target``, and the lock that says that it is in use: a descriptor."""
    with _claiming:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=SUFFIX, dir=target.parent))
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return folder, lock


def _clear(folder: Path) -> None:
    """What was not wanted, or the older one. Freeing a gigabyte takes a while."""
    if folder.is_symlink():  # the older one was a link: it goes, not what it names
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)  # gone already after a rename to a free name


def remove_abandoned(parent: Path) -> None:
    """Remove the hidden folders in ``parent`` that no living builder holds, partial downloads after a week."""
    for folder in (*parent.glob(f".*{SUFFIX}"), *parent.glob(f".*{PARTIAL_SUFFIX}")):
        with suppress(FileNotFoundError, PermissionError):  # its builder removed it meanwhile, or is another user
            if folder.suffix == SUFFIX or _last_written(folder) < time.time() - _PARTIAL_KEPT_S:
                _remove_unless_held(folder)


def remove_folder(target: Path) -> None:
    """Remove what ``staged_folder`` made: gone in one step, whatever stops the rest. A link goes, not what it names.

    Raises OSError.
    """
    grave, lock = _hidden_folder(target)
    try:
        try:
            target.rename(grave / target.name)
        finally:
            shutil.rmtree(grave)
    finally:
        os.close(lock)


async def in_thread(work: Callable[..., Result], *args: object) -> Result:
    """As asyncio.to_thread, but cancelling waits for the thread: it never goes on writing behind the caller's back."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *args))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        raise


def sha256_file(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _last_written(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))


def _remove_unless_held(folder: Path) -> None:
    with _claiming:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return
    try:
        _remove_whole(folder)
    finally:
        os.close(lock)


def _remove_whole(folder: Path) -> None:
    """A user's builds leave files of owners that exist in a namespace only, and there they are removed."""
    try:
        shutil.rmtree(folder)
    except PermissionError:
        inside = [*namespace(), "rm", "-rf", "--one-file-system", "--", folder]
        if subprocess.run(inside, check=False, capture_output=True).returncode != 0:
            raise


def _publish(folder: Path, target: Path) -> None:
    folder.chmod(0o755)  # artefacts are no secrets; mkdtemp made it 0700
    for root, _folders, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            if path.is_file() and not path.is_symlink():
                sync(path)
        sync(Path(root))
    if target.exists():
        _exchange(folder, target)  # the caller removes the older one, now under the hidden name
    else:
        folder.rename(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Write a file's content, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(first: Path, second: Path) -> None:
    """Swap two names in one step, so that there is no moment without ``second``: renameat2(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(second))


def explained(error: OSError, target: Path) -> NotReadyError:
    """What the operator can do about a file system that refused to take ``target``."""
    remedy = {
        errno.ENOSPC: f"Free some room on the disk of {target.parent} and try again",
        errno.EDQUOT: f"Free some of your quota on the disk of {target.parent} and try again",
        errno.EACCES: "Run as root, or set VMDECK_DATA_DIR to a folder that you may write",
        errno.EPERM: "Run as root, or set VMDECK_DATA_DIR to a folder that you may write",
        errno.EROFS: "Set VMDECK_DATA_DIR to a folder on a disk that can be written",
    }.get(error.errno or 0, "Look at the disk and its permissions, then try again")
    return NotReadyError(f"{target} can't be written: {error.strerror or error}", remedy=remedy)
