"""Guest memory of snapshots that clones may be trusted with: sealed copies in RAM, one for each memory file.

QEMU before 9.0 opens a clone's memory file for writing even where it maps it privately. A jailed one has another user
than the file, and must not be able to change what later runs start from. So it is handed a descriptor of a sealed memfd
instead: all clones share its pages until they write, and nobody can write to it. Copying is done once, when a snapshot
is first restored.

The kernel fills a hole of such a file with a page of zeros when a clone first touches it, be it to write a page of its
own. So a copy grows as its clones use memory that the snapshot had empty; one that has grown much is replaced.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from engine.vmm import memory_file

_KEPT_MAX = 4  # each as large as the pages that its snapshot has; a dropped one lives on while a VM maps it
_GROWTH_MAX_BYTES = 128 * 1024 * 1024
_BLOCK = 512  # of st_blocks


@dataclass(frozen=True, slots=True)
class SealedMemory:
    """``fd`` is the holder's to close. ``holes_bytes`` is what clones may yet add to it, and so are charged for."""

    fd: int
    holes_bytes: int


class _Identity(NamedTuple):
    """Of a file's content: a snapshot that is published under another name keeps it, one made anew does not."""

    device: int
    inode: int
    mtime_ns: int
    size: int

    @classmethod
    def of(cls, info: os.stat_result) -> _Identity:
        return cls(info.st_dev, info.st_ino, info.st_mtime_ns, info.st_size)


class _Descriptor:
    """Closed when nobody refers to it any more."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        weakref.finalize(self, os.close, fd)

    def allocated_bytes(self) -> int:
        return os.fstat(self.fd).st_blocks * _BLOCK


class _Copy(_Descriptor):
    """A sealed copy, as large as it is when it has just been made."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._made_bytes = self.allocated_bytes()

    def has_grown_much(self) -> bool:
        return self.allocated_bytes() - self._made_bytes > _GROWTH_MAX_BYTES


@dataclass(slots=True)
class _Entry:
    path: Path
    copying: asyncio.Task[_Copy]

    def fits(self, identity: _Identity) -> bool:
        """It is a copy of what is there now, or on its way to be."""
        if not _is_still(self.path, identity):
            return False
        if not self.copying.done():
            return True
        failed = self.copying.cancelled() or self.copying.exception() is not None
        return not failed and not self.copying.result().has_grown_much()


class SealedMemories:
    """Keeps the sealed copies of a few memory files, those last used."""

    def __init__(self, kept_max: int = _KEPT_MAX) -> None:
        self._kept_max = kept_max
        self._entries: dict[_Identity, _Entry] = {}  # the last used is last

    async def open(self, path: Path) -> SealedMemory:
        """The sealed copy of ``path``; one copy for all who ask at once. Raises OSError."""
        source = _Descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        identity = _Identity.of(os.fstat(source.fd))
        entry = self._entries.pop(identity, None)
        if entry is not None:
            entry.path = path  # published under another name meanwhile
        if entry is None or not entry.fits(identity):
            entry = _Entry(path, asyncio.create_task(_copied(source)))
        self._entries[identity] = entry
        self.tidy()
        copy = await asyncio.shield(entry.copying)
        holes_bytes = max(0, identity.size - copy.allocated_bytes())
        return SealedMemory(os.dup(copy.fd), holes_bytes)

    def tidy(self) -> None:
        """Drop what is not wanted again: copies of files that are gone or changed, grown ones, and too many."""
        for identity in [identity for identity, entry in self._entries.items() if not entry.fits(identity)]:
            del self._entries[identity]
        for identity in list(self._entries)[: -self._kept_max]:
            del self._entries[identity]


async def _copied(source: _Descriptor) -> _Copy:
    return await asyncio.to_thread(lambda: _Copy(memory_file.sealed_copy(source.fd, "vmdeck-snapshot")))


def _is_still(path: Path, identity: _Identity) -> bool:
    try:
        return _Identity.of(path.stat()) == identity
    except OSError:
        return False
