"""A cpio archive in the newc format (Documentation/driver-api/early-userspace/buffer-format.rst of Linux).

The same entries give the same bytes: sorted by name, times and owners 0, inode numbers counted from 1.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TRAILER = "TRAILER!!!"


@dataclass(frozen=True, slots=True)
class Entry:
    """One member: ``mode`` with its type bits, ``data`` a file's content or a link's target."""

    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def folder(mode: int = 0o755) -> Entry:
    return Entry(stat.S_IFDIR | mode)


def file(data: bytes, mode: int = 0o644) -> Entry:
    return Entry(stat.S_IFREG | mode, data)


def link(target: str) -> Entry:
    return Entry(stat.S_IFLNK | 0o777, target.encode())


def character_device(major: int, minor: int, mode: int = 0o600) -> Entry:
    return Entry(stat.S_IFCHR | mode, device=(major, minor))


def write(out: Path, entries: Mapping[str, Entry]) -> None:
    """Write ``entries`` (by path without a leading slash) and the folders that they lie in to the file ``out``."""
    members = {str(parent): folder() for name in entries for parent in Path(name).parents if str(parent) != "."}
    members.update(entries)
    with out.open("wb") as archive:
        for inode, name in enumerate(sorted(members), 1):
            archive.write(_member(name, members[name], inode))
        archive.write(_member(_TRAILER, Entry(0), 0))
        archive.write(b"\0" * (-archive.tell() % 512))


def _member(name: str, entry: Entry, inode: int) -> bytes:
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (inode, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0, *entry.device, len(encoded), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields) + encoded
    return _padded(header) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
