"""Times in an ext4 image that depend on what went into it only, not on when it was made.

mke2fs copies a file's times as they are, the inode's change time among them, which no call can set. So they are set
in the image itself. Layout: https://docs.kernel.org/filesystems/ext4/ (super block, group descriptors, inode table).
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from engine.errors import InternalError

_SUPER_AT = 1024
_MAGIC = 0xEF53
_INCOMPAT_64BIT = 0x80
_RO_COMPAT_METADATA_CSUM = 0x400
_EXTRA_TIMES_END = 0x98  # of an inode with room for i_crtime_extra
_INODE_MODE, _INODE_ATIME, _INODE_CTIME, _INODE_MTIME = 0x00, 0x08, 0x0C, 0x10
_INODE_CTIME_EXTRA, _INODE_MTIME_EXTRA, _INODE_ATIME_EXTRA = 0x84, 0x88, 0x8C
_INODE_CRTIME, _INODE_CRTIME_EXTRA = 0x90, 0x94


def clamp_times(image: Path, epoch_s: int) -> None:
    """Set every inode's times of access, change and creation to ``epoch_s``, and those of modification after it too.

    The file system must be clean, with inodes of 256 bytes and without checksums of metadata. Raises InternalError
    where it is another, OSError.
    """
    with image.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        for inode in _inodes(data):
            _clamp(data, inode, epoch_s)
        data.flush()
    descriptor = os.open(image, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _inodes(data: mmap.mmap) -> Iterator[int]:
    """Where each inode in use begins."""
    inodes, blocks_low = struct.unpack_from("<II", data, _SUPER_AT)
    first_block, log_block = struct.unpack_from("<II", data, _SUPER_AT + 0x14)
    blocks_per_group, _clusters, inodes_per_group = struct.unpack_from("<III", data, _SUPER_AT + 0x20)
    magic, inode_size = _u16(data, _SUPER_AT + 0x38), _u16(data, _SUPER_AT + 0x58)
    incompat, ro_compat = struct.unpack_from("<II", data, _SUPER_AT + 0x60)
    if magic != _MAGIC or inode_size < _EXTRA_TIMES_END or ro_compat & _RO_COMPAT_METADATA_CSUM:
        raise InternalError("The new image is not the ext4 that was asked for: its times can't be set")
    block = 1024 << log_block
    wide = bool(incompat & _INCOMPAT_64BIT)
    descriptor_size = _u16(data, _SUPER_AT + 0xFE) if wide else 32
    groups = -(-(blocks_low - first_block) // blocks_per_group)
    for group in range(groups):
        at = (first_block + 1) * block + group * descriptor_size
        table = struct.unpack_from("<I", data, at + 0x08)[0]
        if wide:
            table |= struct.unpack_from("<I", data, at + 0x28)[0] << 32
        for index in range(min(inodes_per_group, inodes - group * inodes_per_group)):
            inode = table * block + index * inode_size
            if _u16(data, inode + _INODE_MODE):
                yield inode


def _clamp(data: mmap.mmap, inode: int, epoch_s: int) -> None:
    for field in (_INODE_ATIME, _INODE_CTIME, _INODE_CRTIME):
        struct.pack_into("<I", data, inode + field, epoch_s)
    for field in (_INODE_ATIME_EXTRA, _INODE_CTIME_EXTRA, _INODE_CRTIME_EXTRA):
        struct.pack_into("<I", data, inode + field, 0)
    modified, extra = (struct.unpack_from("<I", data, inode + at)[0] for at in (_INODE_MTIME, _INODE_MTIME_EXTRA))
    # The two lowest bits of the extra field are the 33rd and 34th of the seconds.
    if modified | (extra & 3) << 32 > epoch_s:
        struct.pack_into("<I", data, inode + _INODE_MTIME, epoch_s)
        struct.pack_into("<I", data, inode + _INODE_MTIME_EXTRA, 0)


def _u16(data: mmap.mmap, at: int) -> int:
    return struct.unpack_from("<H", data, at)[0]
