"""An ext4 image from a folder, without mounting: no journal, sparse, as small as its content plus stated room."""

from __future__ import annotations

import math
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from engine.errors import NotReadyError
from engine.rootfs import command
from engine.rootfs.command import CommandFailedError
from engine.rootfs.ext4_times import clamp_times
from engine.rootfs.staging import in_thread
from engine.rootfs.tree_size import BLOCK, TreeSize

INODE = 256
MIB = 1024 * 1024
DEFAULT_ROOM_MIB = 4
_NAMESPACE = uuid.UUID("6ba7b812-9dad-11d1-80b4-00c04fd430c8")  # RFC 9562: names that are object identifiers
_GROUP_BLOCKS = 32768
_FIXED_BLOCKS = 64  # superblock, descriptors, lost+found, and what small images round up
# Without checksums of metadata: they guard a disk that is written to, and times are set afterwards.
_FEATURES = "^has_journal,^resize_inode,^metadata_csum_seed,^metadata_csum,uninit_bg"


async def make_ext4(
    tree: Path,
    out: Path,
    *,
    name: str,
    room_mib: int = DEFAULT_ROOM_MIB,
    floor_mib: int | None = None,
    epoch_s: int | None = None,
    prefix: Sequence[str] = (),
) -> None:
    """Write the files of ``tree`` as an ext4 image to ``out``, at least ``floor_mib`` large.

    Identity and hash seed come from ``name``, so that the same tree gives the same bytes where no time in it is after
    ``epoch_s`` (seconds since 1970), as far as that is given. ``prefix`` goes before the command: it may enter the
    user namespace that the owners in ``tree`` belong to.
    Raises NotReadyError: mkfs.ext4 is missing, disk full.
    """
    size = await _measured(tree, prefix)
    inodes = size.inodes + 16 + room_mib * 16
    size_mib = max(_mib(size, inodes) + room_mib, floor_mib or 0)
    identity = uuid.uuid5(_NAMESPACE, name)
    argv = [
        *prefix, "mkfs.ext4", "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-I", str(INODE), "-N", str(inodes), "-m",
        "0", "-O", _FEATURES, "-U", str(identity), "-L", name[:16],
        "-E", f"hash_seed={identity},lazy_itable_init=1,root_owner=0:0", "-d", str(tree), str(out), f"{size_mib}M",
    ]  # fmt: skip
    try:
        await command.run(argv, env={"E2FSPROGS_FAKE_TIME": "1", "SOURCE_DATE_EPOCH": "1"}, package="e2fsprogs")
    except CommandFailedError as error:
        raise NotReadyError(
            f"The file system could not be written: {error.output}",
            remedy=f"Check room and permissions of {out.parent}",
        ) from error
    if epoch_s is not None:
        await in_thread(clamp_times, out, epoch_s)


async def _measured(tree: Path, prefix: Sequence[str]) -> TreeSize:
    """By a process that may look into every folder of it. Raises NotReadyError."""
    try:
        said = await command.run([*prefix, sys.executable, "-P", "-m", "engine.rootfs.tree_size", tree])
    except CommandFailedError as error:
        raise NotReadyError(
            f"The new tree could not be measured: {error.output}", remedy=f"Check permissions of {tree.parent}"
        ) from error
    blocks, inodes = map(int, said.split())
    return TreeSize(blocks, inodes)


def _mib(size: TreeSize, inodes: int) -> int:
    """Smallest whole MiB that hold a tree: data, inode tables, extents, and per group two bitmaps and copies."""
    data = size.blocks + math.ceil(inodes * INODE / BLOCK) + size.blocks // 256 + _FIXED_BLOCKS
    groups = math.ceil(data / _GROUP_BLOCKS)
    return math.ceil((data + groups * 8) * BLOCK / MIB)
