"""How much a tree takes in an ext4, before that is made: ``python -m engine.rootfs.tree_size TREE`` prints it.

A process of its own, since a user's tree has folders that only the root of a namespace may look into.
"""

from __future__ import annotations

import math
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

BLOCK = 4096
_INLINE_LINK = 59  # a longer link target takes a block


@dataclass(frozen=True, slots=True)
class TreeSize:
    """What a tree takes in an ext4 of 4 KiB blocks."""

    blocks: int
    inodes: int


def measure(tree: Path) -> TreeSize:
    """Blocks and inodes of all that lies below ``tree``; hard links count once. Raises OSError."""
    blocks = inodes = 0
    seen: set[tuple[int, int]] = set()
    for root, folders, names in os.walk(tree, onerror=_refuse):
        # A directory entry takes 8 bytes and its name; blocks are seldom full.
        blocks += 1 + sum(12 + len(os.fsencode(name)) for name in (*folders, *names)) * 4 // 3 // BLOCK
        inodes += 1
        for name in (*names, *(each for each in folders if Path(root, each).is_symlink())):
            status = Path(root, name).lstat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            inodes += 1
            if stat.S_ISREG(status.st_mode):
                blocks += math.ceil(status.st_size / BLOCK)
            elif stat.S_ISLNK(status.st_mode) and status.st_size > _INLINE_LINK:
                blocks += 1
    return TreeSize(blocks, inodes)


def _refuse(error: OSError) -> None:
    raise error


if __name__ == "__main__":
    _found = measure(Path(sys.argv[1]))
    print(_found.blocks, _found.inodes)
