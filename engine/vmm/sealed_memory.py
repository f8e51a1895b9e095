"""Guest memory of snapshots that clones may be trusted with: sealed copies in RAM, one for each memory file.

QEMU before 9.0 opens a clone's memory file for writing even where it maps it privately. A jailed one has another user
than the file, and must not be able to change what later runs start from. So it is handed a descriptor of a sealed memfd
instead: all clones share its pages until they write, and nobody can write to it. Copying is done once, when a snapshot
is first restored.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from engine.vmm import memory_file

_KEPT_MAX = 4  # each is as large as the pages that its snapshot has; a dropped one lives on while a VM maps it


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


@dataclass(slots=True)
class _Entry:
    path: Path
    copying: asyncio.Task[_Descriptor]


class SealedMemories:
    """Keeps the sealed copies of a few memory files, those last used."""

    def __init__(self, kept_max: int = _KEPT_MAX) -> None:
        self._kept_max = kept_max
        self._entries: dict[_Identity, _Entry] = {}  # the last used is last

    async def open(self, path: Path) -> int:
        """A descriptor of the sealed copy of ``path``, the caller's to close; one copy for all who ask at once.

        Raises OSError.
        """
        source = _Descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        identity = _Identity.of(os.fstat(source.fd))
        entry = self._entries.pop(identity, None)
        if entry is None or _has_failed(entry.copying):
            entry = _Entry(path, asyncio.create_task(_copied(source)))
        entry.path = path
        self._entries[identity] = entry
        self._drop_superfluous()
        sealed = await asyncio.shield(entry.copying)
        return os.dup(sealed.fd)

    def _drop_superfluous(self) -> None:
        stale = [identity for identity, entry in self._entries.items() if not _is_still(entry.path, identity)]
        for identity in stale:
            del self._entries[identity]
        for identity in list(self._entries)[: -self._kept_max]:
            del self._entries[identity]


async def _copied(source: _Descriptor) -> _Descriptor:
    return await asyncio.to_thread(lambda: _Descriptor(memory_file.sealed_copy(source.fd, "vmdeck-snapshot")))


def _has_failed(copying: asyncio.Task[_Descriptor]) -> bool:
    return copying.done() and (copying.cancelled() or copying.exception() is not None)


def _is_still(path: Path, identity: _Identity) -> bool:
    try:
        return _Identity.of(path.stat()) == identity
    except OSError:
        return False
