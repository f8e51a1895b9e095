"""Buffers on disk: one file each, and each belongs to one console at a time.

A console holds a lock on every buffer that it has open, and takes at its start those that nobody holds. So two
consoles at once never write the same buffer, and the buffers of one that was killed wait for the next: the kernel
drops its locks.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from pydantic import ValidationError

from console.scratch.buffer import Buffer
from console.scratch.state_folder import BrokenFile, private_folder, write_whole
from engine.errors import NotReadyError

_SUFFIX = ".json"
_LOCK_SUFFIX = ".lock"


class BufferStore:
    """Calls touch the disk, so a front end makes them in a thread, one at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._locks: dict[str, int] = {}

    def adopt(self, most: int) -> tuple[list[Buffer], list[BrokenFile]]:
        """Take the buffers that no console has open, those last shown first where there are more than ``most``.

        They come in the order in which they were made. Raises NotReadyError where the folder can't be used.
        """
        private_folder(self._folder)
        free: list[Buffer] = []
        broken: list[BrokenFile] = []
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if path.stem in self._locks or not self._lock(path.stem):
                continue
            found = _read(path)
            if isinstance(found, Buffer):
                free.append(found)
            else:
                self._unlock(path.stem)
                if found is not None:
                    broken.append(found)
        free.sort(key=lambda buffer: buffer.shown, reverse=True)
        for buffer in free[most:]:
            self._unlock(buffer.id)
        return sorted(free[:most], key=lambda buffer: buffer.created), broken

    def save(self, buffer: Buffer) -> None:
        """Raises NotReadyError where it can't be written."""
        private_folder(self._folder)
        if buffer.id not in self._locks and not self._lock(buffer.id):
            raise NotReadyError(f"Buffer {buffer.id} is open in another console.", remedy="Close it there.")
        write_whole(self._path(buffer.id), buffer.model_dump_json())

    def remove(self, buffer_id: str) -> None:
        """Forget a buffer of this console; one that was never saved is no error. Raises NotReadyError."""
        if buffer_id not in self._locks:
            return
        try:
            self._path(buffer_id).unlink(missing_ok=True)
            self._lock_path(buffer_id).unlink(missing_ok=True)
        except OSError as error:
            raise NotReadyError(
                f"The buffer can't be removed: {error.strerror}.", remedy=f"Make {self._folder} writable."
            ) from error
        self._unlock(buffer_id)

    def release(self) -> None:
        """Let other consoles have the buffers; may be called twice."""
        for buffer_id in list(self._locks):
            self._unlock(buffer_id)

    def _path(self, buffer_id: str) -> Path:
        return self._folder / f"{buffer_id}{_SUFFIX}"

    def _lock_path(self, buffer_id: str) -> Path:
        return self._folder / f"{buffer_id}{_LOCK_SUFFIX}"

    def _lock(self, buffer_id: str) -> bool:
        """Whether it is ours now. The lock is a file beside it, since saving replaces the buffer's own."""
        try:
            descriptor = os.open(self._lock_path(buffer_id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise NotReadyError(
                f"Buffers can't be kept in {self._folder}: {error.strerror}.", remedy="Make that folder writable."
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError as error:
            os.close(descriptor)
            raise NotReadyError(
                f"Buffers can't be locked in {self._folder}: {error.strerror}.",
                remedy="Name a folder on a local file system by XDG_STATE_HOME.",
            ) from error
        self._locks[buffer_id] = descriptor
        return True

    def _unlock(self, buffer_id: str) -> None:
        os.close(self._locks.pop(buffer_id))


def _read(path: Path) -> Buffer | BrokenFile | None:
    """None where another console closed it meanwhile."""
    try:
        buffer = Buffer.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        return BrokenFile(path.name, error.strerror or str(error))
    except ValidationError as error:
        first = error.errors()[0]
        return BrokenFile(path.name, f"{'.'.join(map(str, first['loc'])) or 'the file'}: {first['msg']}")
    if buffer.id != path.stem:
        return BrokenFile(path.name, f"it holds the buffer {buffer.id}")
    return buffer
