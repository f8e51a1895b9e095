"""What has arrived of a download so far: a hidden folder beside its target, kept for the next attempt.

It holds the bytes and the server's name for this version of them (its ETag). Whoever writes holds a lock on the folder.
What the bytes are worth is for the download to say: only a content of the wanted digest is published.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

from engine.errors import ConflictError
from engine.rootfs.staging import PARTIAL_SUFFIX, sha256_file, sync

_CONTENT, _VALIDATOR = "content", "validator"


def partial_folder(target: Path, sha256: str) -> Path:
    """Where the bytes of a download of that digest are kept until it is complete."""
    return target.with_name(f".{target.name}.{sha256[:16]}{PARTIAL_SUFFIX}")


class Partial:
    """A download's folder, held from ``claim`` to ``close``. All of it may raise OSError."""

    def __init__(self, folder: Path, lock: int) -> None:
        self._folder = folder
        self._lock = lock
        self._content = (folder / _CONTENT).open("ab", buffering=0)

    @classmethod
    def claim(cls, target: Path, sha256: str) -> Partial:
        """Make the folder or take up the one that is there. Raises ConflictError where another process writes it."""
        folder = partial_folder(target, sha256)
        while True:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if folder.exists() and folder.stat().st_ino == os.fstat(lock).st_ino:
                    return cls(folder, lock)
            except BlockingIOError:
                os.close(lock)
                raise ConflictError(
                    f"{target.name} is being downloaded by another process", remedy="Wait for it, then try again"
                ) from None
            except BaseException:
                os.close(lock)
                raise
            os.close(lock)  # its last holder removed it between our look and our lock

    @property
    def size(self) -> int:
        return os.fstat(self._content.fileno()).st_size

    @property
    def content(self) -> Path:
        return self._folder / _CONTENT

    @property
    def validator(self) -> str:
        """The ETag under which the bytes were sent, empty where the server gave none."""
        path = self._folder / _VALIDATOR
        return path.read_text() if path.exists() else ""

    def begin(self, validator: str) -> None:
        """Throw away what is there; what comes now belongs to ``validator``."""
        self.drop()
        (self._folder / _VALIDATOR).write_text(validator)

    def append(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._content.write(rest) :]

    def drop(self) -> None:
        self._content.truncate(0)

    def digest(self) -> str:
        return sha256_file(self.content)

    def publish(self, target: Path) -> None:
        """The content becomes ``target`` in one step, on disk when this returns."""
        os.fsync(self._content.fileno())
        self.content.replace(target)
        sync(target.parent)

    def close(self) -> None:
        """Let go of the folder; it stays only where it holds bytes that the next attempt can use."""
        published = not self.content.exists()
        if published or self.size == 0:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._content.close()
        os.close(self._lock)
