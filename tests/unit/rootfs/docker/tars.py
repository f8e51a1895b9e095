"""Tar archives as no honest tool writes them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Entry:
    """One member; ``link`` is what a link names, ``pax`` are extended headers that are written as they are."""

    name: str
    type: bytes = tarfile.REGTYPE
    data: bytes = b""
    link: str = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: float = 1_000_000
    pax: Mapping[str, str] = field(default_factory=dict[str, str])


def file(name: str, data: bytes = b"new", **more: object) -> Entry:
    return Entry(name, data=data, **more)  # type: ignore[arg-type]


def folder(name: str, **more: object) -> Entry:
    return Entry(name, tarfile.DIRTYPE, mode=0o755, **more)  # type: ignore[arg-type]


def link(name: str, target: str) -> Entry:
    return Entry(name, tarfile.SYMTYPE, link=target)


def hard_link(name: str, target: str) -> Entry:
    return Entry(name, tarfile.LNKTYPE, link=target)


def device(name: str) -> Entry:
    return Entry(name, tarfile.CHRTYPE)


def tar(*entries: Entry, format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format, encoding="utf-8", errors="surrogateescape") as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.type, info.linkname, info.mode = entry.type, entry.link, entry.mode
            info.uid, info.gid, info.mtime, info.size = entry.uid, entry.gid, entry.mtime, len(entry.data)
            info.pax_headers = dict(entry.pax)
            archive.addfile(info, io.BytesIO(entry.data))
    return out.getvalue()
