"""A folder that is filled from names which nobody vouches for.

Every step goes from an open folder to a name in it, and no link is followed on the way (openat(2) with O_NOFOLLOW), so
that nothing outside is ever read, written or removed, whatever the links in the tree say. What a name held before is
removed first: nothing is written through it.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections import Counter
from collections.abc import Container, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InputError

Parts = tuple[bytes, ...]

MAX_DEPTH = 128
_NAME_MAX = 255
_PATH_MAX = 4095  # of what a link says
_PATH_HERE_MAX = 3800  # of a member: the tree lies in folders that have names too
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CAPABILITY = "security.capability"


@dataclass(frozen=True, slots=True)
class Attributes:
    """``capability`` is as the extended attribute security.capability has it."""

    mode: int
    uid: int
    gid: int
    mtime_ns: int
    capability: bytes | None = None


def parts_of(name: str) -> Parts:
    """A path of an archive as names below the tree's root. A leading / means that root too.

    Raises InputError for a path that leads upwards, or that no file system can hold.
    """
    path = name.encode("utf-8", "surrogateescape")
    parts = tuple(part for part in path.split(b"/") if part not in (b"", b"."))
    if b".." in parts:
        raise refused(name, "it leads out of the tree")
    if b"\0" in path:
        raise refused(name, "there is a zero byte in it")
    if len(path) > _PATH_HERE_MAX or len(parts) > MAX_DEPTH or any(len(part) > _NAME_MAX for part in parts):
        raise refused(name, f"it is longer than a path may be, or deeper than {MAX_DEPTH} folders")
    return parts


def refused(name: str, why: str) -> InputError:
    return InputError(
        f"The archive has a member {name[:200]!r}, which is refused: {why}",
        remedy="Make the archive with Docker's own tools, and from an image that you trust",
    )


class Tree:
    """The folder ``root``. Use as a context manager; its folders get their times when all is in them.

    ``lost`` counts what could not be kept, by reason.
    """

    def __init__(self, root: Path) -> None:
        self.lost: Counter[str] = Counter()
        self._root = os.open(root, _FOLDER)
        self._open: tuple[Parts, int] | None = None
        self._times: dict[Parts, int] = {}

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._set_folder_times()
        finally:
            self._close()
            os.close(self._root)

    # --- what may be put there

    def put_folder(self, parts: Parts, attributes: Attributes) -> None:
        """One that is there keeps what is in it. The root itself stays as it is."""
        if not parts:
            return
        self._enter(parts[:-1])
        if not self.is_folder(parts):
            self.remove(parts)
        folder = self._enter(parts)
        self._give(attributes, folder)
        os.fchmod(folder, attributes.mode)
        self._times[parts] = attributes.mtime_ns

    def put_file(self, parts: Parts, content: Iterable[tuple[int, bytes]], size: int, attributes: Attributes) -> None:
        """``content`` are pieces and where they begin; where there are none the file has holes."""
        above = self._cleared(parts)
        file = os.open(parts[-1], _NEW_FILE, 0o600, dir_fd=above)
        try:
            for at, piece in content:
                _write(file, piece, at)
            os.ftruncate(file, size)
            self._give(attributes, file)
            self._set_capability(attributes, file)
            os.fchmod(file, self._file_mode(attributes))
            os.utime(file, ns=(attributes.mtime_ns, attributes.mtime_ns))
        finally:
            os.close(file)

    def put_link(self, parts: Parts, target: str, attributes: Attributes) -> None:
        """A symbolic link. It may say anything, for nobody but the guest reads it."""
        text = target.encode("utf-8", "surrogateescape")
        if not text or len(text) > _PATH_MAX or b"\0" in text:
            raise refused(shown(parts), "it is a link to what can't be a path")
        above = self._cleared(parts)
        os.symlink(text, parts[-1], dir_fd=above)
        self._give(attributes, parts[-1], above)
        times = (attributes.mtime_ns, attributes.mtime_ns)
        os.utime(parts[-1], ns=times, dir_fd=above, follow_symlinks=False)

    def put_pipe(self, parts: Parts, attributes: Attributes) -> None:
        above = self._cleared(parts)
        os.mkfifo(parts[-1], attributes.mode & 0o777, dir_fd=above)
        self._give(attributes, parts[-1], above)

    def put_hard_link(self, parts: Parts, target: Parts) -> None:
        """A further name for a file that is in the tree already. Raises InputError where it is not."""
        if (
            not target or target[: len(parts)] == parts
        ):  # what has the new name goes first, and the target would go with it
            raise refused(shown(parts), f"it is a hard link to {shown(target)}")
        try:
            source = os.dup(self._enter(target[:-1], make=False))
        except FileNotFoundError:
            raise _no_target(parts, target) from None
        try:
            above = self._cleared(parts)
            if stat.S_ISDIR(os.stat(target[-1], dir_fd=source, follow_symlinks=False).st_mode):
                raise refused(shown(parts), f"it is a hard link to the folder {shown(target)}")
            os.link(target[-1], parts[-1], src_dir_fd=source, dst_dir_fd=above, follow_symlinks=False)
        except FileNotFoundError:
            raise _no_target(parts, target) from None
        finally:
            os.close(source)

    # --- what may be removed

    def remove(self, parts: Parts) -> None:
        """Whatever has that name, with all below it; nothing where there is nothing."""
        if not parts:
            raise refused("/", "the root of a file system is a folder")
        with suppress(FileNotFoundError):
            above = self._enter(parts[:-1], make=False)
            try:
                os.unlink(parts[-1], dir_fd=above)
            except IsADirectoryError:
                shutil.rmtree(parts[-1], dir_fd=above)

    def clear(self, parts: Parts, keep: Container[Parts]) -> None:
        """Remove what is in a folder and not in ``keep``, at any depth."""
        with suppress(FileNotFoundError):
            for name in os.listdir(self._enter(parts, make=False)):  # noqa: PTH208 -- of a descriptor
                inner = (*parts, os.fsencode(name))
                if inner not in keep:
                    self.remove(inner)
                elif self.is_folder(inner):
                    self.clear(inner, keep)

    def is_folder(self, parts: Parts) -> bool:
        """A real one, no link to one."""
        try:
            above = self._enter(parts[:-1], make=False)
            return stat.S_ISDIR(os.stat(parts[-1], dir_fd=above, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False

    # --- how a name is reached

    def _enter(self, parts: Parts, *, make: bool = True) -> int:
        """Descriptor of a folder, open until the next one is asked for; with ``make`` what is missing is made.

        Raises InputError where a link or a file is on the way, FileNotFoundError.
        """
        if self._open is not None and self._open[0] == parts:
            return self._open[1]
        folder = os.dup(self._root)
        for depth, name in enumerate(parts, 1):
            outer = folder
            try:
                folder = _open_folder(outer, name, make=make)
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                why = f"{shown(parts[:depth])} is a link or a file by then, and no link is followed"
                raise refused(shown(parts), why) from None
            finally:
                os.close(outer)
        self._close()
        self._open = (parts, folder)
        return folder

    def _cleared(self, parts: Parts) -> int:
        """The folder in which the last name of ``parts`` is free now."""
        above = self._enter(parts[:-1])
        self.remove(parts)
        return above

    def _close(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    # --- attributes

    def _give(self, attributes: Attributes, target: int | bytes, folder: int | None = None) -> None:
        try:
            os.chown(target, attributes.uid, attributes.gid, dir_fd=folder, follow_symlinks=isinstance(target, int))
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EPERM):
                raise
            self.lost["owners that this user can't give"] += 1

    def _set_capability(self, attributes: Attributes, file: int) -> None:
        if attributes.capability is None:
            return
        try:
            os.setxattr(file, _CAPABILITY, attributes.capability)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EPERM, errno.ENOTSUP):
                raise
            self.lost["capabilities of files"] += 1

    def _file_mode(self, attributes: Attributes) -> int:
        """A program that acts as its owner is kept for root as owner only, as systems have them."""
        set_id = attributes.mode & (stat.S_ISUID | stat.S_ISGID)
        if not set_id or attributes.uid == 0:
            return attributes.mode
        self.lost["setuid and setgid bits of files that are not root's"] += 1
        return attributes.mode & ~set_id

    def _set_folder_times(self) -> None:
        for parts, mtime_ns in self._times.items():
            with suppress(FileNotFoundError, InputError):  # gone since, or something else by now
                os.utime(self._enter(parts, make=False), ns=(mtime_ns, mtime_ns))


def shown(parts: Parts) -> str:
    return b"/".join(parts).decode("utf-8", "surrogateescape")


def _open_folder(outer: int, name: bytes, *, make: bool) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=outer)
    except FileNotFoundError:
        if not make:
            raise
    os.mkdir(name, 0o755, dir_fd=outer)
    return os.open(name, _FOLDER, dir_fd=outer)


def _write(file: int, piece: bytes, at: int) -> None:
    left = memoryview(piece)
    while left:
        written = os.pwrite(file, left, at)
        left, at = left[written:], at + written


def _no_target(parts: Parts, target: Parts) -> InputError:
    return refused(shown(parts), f"it is a hard link to {shown(target)}, which is not in the tree")
