"""Copying guest memory without its empty pages: to a snapshot's file, and from there to memory nobody can change."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from engine.host.sparse import data_ranges, write_blocks

_PIECE = 1024 * 1024
_FROZEN = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def copy_sparse(source: int, target: Path) -> None:
    """Copy the whole of the descriptor ``source`` to a new file, leaving holes for pages of zeros. Raises OSError."""
    size = os.fstat(source).st_size
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _copy_pages(source, fd, size)
        os.fsync(fd)
    finally:
        os.close(fd)


def sealed_copy(source: int, name: str) -> int:
    """A memfd with the content of the descriptor ``source``, which nobody can write to ever after; the caller's own.

    Who maps it privately may write its own pages, and opening it for writing through /proc succeeds without giving
    the power to write. Raises OSError.
    """
    size = os.fstat(source).st_size
    sealed = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        _copy_pages(source, sealed, size)
        fcntl.fcntl(sealed, fcntl.F_ADD_SEALS, _FROZEN)
    except BaseException:
        os.close(sealed)
        raise
    return sealed


def _copy_pages(source: int, target: int, size: int) -> None:
    os.ftruncate(target, size)
    for start, end in data_ranges(source, size):
        for offset in range(start, end, _PIECE):
            piece = os.pread(source, min(_PIECE, end - offset), offset)
            write_blocks(target, piece, offset)
