"""Files with holes: where their data is, and how it is written so that blocks of zeros take no room (lseek(2))."""

from __future__ import annotations

import errno
import os

BLOCK = 4096
_ZEROS = bytes(BLOCK)


def data_ranges(fd: int, size: int) -> list[tuple[int, int]]:
    """Start and end of each range of the file that is no hole; all of it where the file system can't tell."""
    ranges: list[tuple[int, int]] = []
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                break
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        ranges.append((start, end))
    return ranges


def write_blocks(fd: int, piece: bytes, offset: int) -> int:
    """Write the runs of blocks that are not all zero, and return how many bytes that were. The rest stays as it is,
    a hole in a new file. ``offset`` is that of a block."""
    written = 0
    for start, end in _runs(piece):
        run = memoryview(piece)[start:end]
        while run:
            count = os.pwrite(fd, run, offset + end - len(run))
            run = run[count:]
        written += end - start
    return written


def data_bytes(piece: bytes) -> int:
    """What ``write_blocks`` would write of it."""
    return sum(end - start for start, end in _runs(piece))


def _runs(piece: bytes) -> list[tuple[int, int]]:
    runs: list[tuple[int, int]] = []
    run_start: int | None = None
    for at in range(0, len(piece), BLOCK):
        block = piece[at : at + BLOCK]
        empty = block == _ZEROS[: len(block)]
        if empty and run_start is not None:
            runs.append((run_start, at))
            run_start = None
        elif not empty and run_start is None:
            run_start = at
    if run_start is not None:
        runs.append((run_start, len(piece)))
    return runs
