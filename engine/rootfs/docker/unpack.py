"""Tar streams into a tree: a whole file system, or the layers of an image one over the other.

What a stream can do wrong is refused (it leads out of the tree, has no end, is damaged) or left out (devices, which a
guest brings itself). Layers follow the OCI image specification: a file ``.wh.NAME`` takes NAME of the layers below
away, ``.wh..wh..opq`` all that they have in its folder.
"""

from __future__ import annotations

import math
import tarfile
from dataclasses import dataclass

from engine.errors import InputError
from engine.rootfs.docker.members import Members, Readable, damaged
from engine.rootfs.docker.tree import Attributes, Parts, Tree, parts_of, refused, shown

_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
_OWN_OF_AUFS = b".wh..wh."
_MADE_BY_MKFS = (b"lost+found",)
_CAPABILITY = "SCHILY.xattr.security.capability"
_LATEST_S = 2**33  # ext4 has no later time
_MAX_ID = 2**32 - 2  # to chown(2) the next one says "leave it as it is"
_DEVICES = "device nodes"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What all streams of a tree may bring together: files and folders, and bytes that files have or claim to have."""

    members: int = 2_000_000
    file_bytes: int = 64 * 1024**3


class Unpacker:
    """Fills ``tree``."""

    def __init__(self, tree: Tree, bounds: Bounds | None = None) -> None:
        self._tree = tree
        self._bounds = bounds or Bounds()
        self._members = 0
        self._claimed_bytes = 0
        self._devices: set[Parts] = set()

    @property
    def members(self) -> int:
        return self._members

    def whole(self, stream: Readable) -> None:
        """A file system in one stream, as docker export writes it. Raises InputError."""
        self._unpack(stream, None)

    def layer(self, stream: Readable) -> None:
        """The next layer over those before. Raises InputError."""
        self._unpack(stream, set())

    def _unpack(self, stream: Readable, fresh: set[Parts] | None) -> None:
        """``fresh`` collects what a layer brings, which no mark of its own takes away."""
        members = Members(stream)
        for member in members:
            self._count(member)
            parts = parts_of(member.name)
            if parts[:1] == _MADE_BY_MKFS or (fresh is not None and self._takes_away(parts, fresh)):
                continue
            self._put(parts, member, members)
            if fresh is not None:
                fresh.update(parts[:depth] for depth in range(1, len(parts) + 1))

    def _count(self, member: tarfile.TarInfo) -> None:
        self._members += 1
        if member.size < 0:
            raise damaged(f"{member.name!r} has {member.size} bytes")
        self._claimed_bytes += member.size if member.isreg() else 0
        if self._members > self._bounds.members or self._claimed_bytes > self._bounds.file_bytes:
            raise InputError(
                f"The archive has more than {self._bounds.members} files and folders, or files of more than "
                f"{self._bounds.file_bytes // 1024**3} GiB together",
                remedy="Take an image with less in it",
            )

    def _put(self, parts: Parts, member: tarfile.TarInfo, members: Members) -> None:
        self._devices.discard(parts)  # a later layer may have a file in its place
        if member.isdir():
            self._tree.put_folder(parts, _attributes(member))
        elif member.isreg():
            self._tree.put_file(parts, members.content(member), member.size, _attributes(member))
        elif member.issym():
            self._tree.put_link(parts, member.linkname, _attributes(member))
        elif member.islnk():
            self._link(parts, parts_of(member.linkname))
        elif member.isfifo():
            self._tree.put_pipe(parts, _attributes(member))
        else:
            self._devices.add(parts)
            self._tree.remove(parts)
            self._tree.lost[_DEVICES if member.isdev() else "members of a kind that is not known"] += 1

    def _link(self, parts: Parts, target: Parts) -> None:
        if target in self._devices:
            self._devices.add(parts)
            self._tree.lost[_DEVICES] += 1
        else:
            self._tree.put_hard_link(parts, target)

    def _takes_away(self, parts: Parts, fresh: set[Parts]) -> bool:
        """Whether the member is no file but a mark of what of the layers below is gone; that goes now."""
        marks = [part for part in parts if part.startswith(_WHITEOUT)]
        if not marks:
            return False
        above, name = parts[:-1], parts[-1]
        hidden = (*above, name.removeprefix(_WHITEOUT))
        if marks == [_OPAQUE] and name == _OPAQUE:
            self._tree.clear(above, fresh)
        elif any(mark.startswith(_OWN_OF_AUFS) for mark in marks):
            self._tree.lost["files of a storage driver's own"] += 1
        elif marks != [name] or hidden[-1] in (b"", b".", b".."):
            raise refused(shown(parts), "it is no name that a layer can take away")
        elif hidden not in fresh:
            self._tree.remove(hidden)
        elif self._tree.is_folder(hidden):
            self._tree.clear(hidden, fresh)
        return True


def _attributes(member: tarfile.TarInfo) -> Attributes:
    for number in (member.uid, member.gid):
        if not 0 <= number <= _MAX_ID:
            raise refused(member.name, f"its owner or group is {number}")
    capability = member.pax_headers.get(_CAPABILITY)
    return Attributes(
        mode=member.mode & 0o7777,
        uid=member.uid,
        gid=member.gid,
        mtime_ns=_nanoseconds(member.mtime),
        capability=None if capability is None else capability.encode("utf-8", "surrogateescape"),
    )


def _nanoseconds(seconds: float) -> int:
    if not math.isfinite(seconds):
        return 0
    return int(min(max(seconds, 0), _LATEST_S) * 1_000_000_000)
