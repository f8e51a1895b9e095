"""One engine owns a data folder: an exclusive flock(2) on a file in the runtime folder, with the holder's pid in it.

The kernel drops the lock with the process, so a killed engine leaves none behind. The file itself is never removed:
a second engine could then lock another file of the same name.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import ConflictError, NotReadyError


class EngineLock:
    """Held from ``acquire`` until ``release`` or the process' end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    def acquire(self) -> None:
        """Raises ConflictError where another engine holds it (context: holder), NotReadyError without permission."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise NotReadyError(
                f"The runtime folder {self._path.parent} can't be used: {error.strerror}",
                remedy="Run as the user that owns it, or set VMDECK_RUNTIME_DIR to a folder of your own",
            ) from None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip()
            os.close(fd)
            raise ConflictError(
                f"Another engine (process {holder or 'unknown'}) uses {self._path.parent}",
                remedy="Wait for it to end, or stop it",
                holder=holder,
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def held_by_this_process(path: Path) -> bool:
    """Whether the engine that holds the lock at ``path``, or was the last to, is of this process."""
    try:
        return path.read_text().strip() == str(os.getpid())
    except OSError:
        return False


@contextmanager
def locked_folder(folder: Path) -> Generator[None]:
    """Alone among those who change files in ``folder``; the kernel drops the lock with its holder. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
