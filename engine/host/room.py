"""Disk room where a folder is, or will be."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def existing_parent(folder: Path) -> Path:
    """The folder itself, or the nearest of its parents that this user can see."""
    for path in (folder, *folder.parents):
        with suppress(OSError):
            path.stat()
            return path
    return Path("/")


def free_bytes(folder: Path) -> int:
    """Room that this user can still write, where ``folder`` is or would be made."""
    room = os.statvfs(existing_parent(folder))
    return room.f_bavail * room.f_frsize
