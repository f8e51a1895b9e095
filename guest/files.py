"""Files in the work folder, put and fetched for the host by the cell's init.

It is root, the folder is the user's: so every call acts with the user's effective id (its own real and saved ids stay
root, so the user can't signal it) and never follows a symbolic link on the way.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from guest.spawn import GROUP_ID, USER_ID

_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_LISTED = 512
MAX_LISTED_BYTES = 24 * 1024  # JSON may make six of each, and the answer is one packet
MAX_DEPTH = 64


class UserIdentity:
    """Within this context file access is checked as the user's."""

    def __enter__(self) -> None:
        os.setegid(GROUP_ID)
        os.seteuid(USER_ID)

    def __exit__(self, *_: object) -> None:
        os.seteuid(0)
        os.setegid(0)


def _parts(path: str) -> list[str]:
    parts = path.split("/")
    if not path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise OSError(errno.EINVAL, "not a plain relative path")
    return parts


def _open_parent(root: str, parts: list[str], *, create: bool) -> int:
    folder = os.open(root, _DIR)
    try:
        for part in parts[:-1]:
            if create:
                try:
                    os.mkdir(part, 0o755, dir_fd=folder)
                except FileExistsError:
                    pass
            below = os.open(part, _DIR, dir_fd=folder)
            os.close(folder)
            folder = below
    except BaseException:
        os.close(folder)
        raise
    return folder


def put(root: str, path: str, mode: int, offset: int, data: bytes) -> None:
    """Write ``data`` at ``offset`` of root/path; offset 0 makes the file anew. Raises OSError."""
    parts = _parts(path)
    with UserIdentity():
        folder = _open_parent(root, parts, create=True)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            file = os.open(parts[-1], flags | (os.O_TRUNC if offset == 0 else 0), mode, dir_fd=folder)
            try:
                while data:
                    written = os.pwrite(file, data, offset)
                    data, offset = data[written:], offset + written
            finally:
                os.close(file)
        finally:
            os.close(folder)


def get(root: str, path: str, offset: int, length: int) -> bytes:
    """Up to ``length`` bytes of a regular file. Raises OSError."""
    parts = _parts(path)
    with UserIdentity():
        folder = _open_parent(root, parts, create=False)
        try:
            file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
            try:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise OSError(errno.EINVAL, "not a regular file")
                return os.pread(file, length, offset)
            finally:
                os.close(file)
        finally:
            os.close(folder)


def listing(root: str) -> list[dict[str, object]]:
    """Regular files below root: path (bytes that are not UTF-8 escaped), size. At most MAX_LISTED, with paths of
    MAX_LISTED_BYTES together, from MAX_DEPTH levels: a tree can be deeper than any path, and wider than any answer."""
    found: list[dict[str, object]] = []
    room = MAX_LISTED_BYTES
    with UserIdentity():
        folder = os.open(root, _DIR)
        try:
            for name, size in _walk(folder, "", MAX_DEPTH):
                path = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
                room -= len(path.encode())
                if room < 0 or len(found) == MAX_LISTED:
                    break
                found.append({"path": path, "size": size})
        finally:
            os.close(folder)
    return found


def _walk(folder: int, prefix: str, depth: int) -> Iterator[tuple[str, int]]:
    """What vanishes meanwhile or may not be read is left out: the user's processes may still run."""
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                info = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(info.st_mode):
                    yield prefix + entry.name, info.st_size
                elif stat.S_ISDIR(info.st_mode) and depth > 1:
                    below = os.open(entry.name, _DIR, dir_fd=folder)
                    try:
                        yield from _walk(below, f"{prefix}{entry.name}/", depth - 1)
                    finally:
                        os.close(below)
            except OSError:
                continue
