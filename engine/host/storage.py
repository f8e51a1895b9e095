"""Checks of the disk below the data folder: room, and how files come from there into jails."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile

from engine.host.finding import Finding, Surroundings, blocked, degraded, info, ok
from engine.host.reflink import reflinked
from engine.host.room import existing_parent, free_bytes

_MIB = 1024 * 1024
_ROOM_NEEDED_MIB = 256
_ROOM_WANTED_MIB = 3 * 1024
_SAMPLE = b"vmdeck" * 1024


def disk_room(around: Surroundings) -> Finding:
    free_mib = free_bytes(around.settings.data_dir) // _MIB
    seen = f"{free_mib:,} MiB free for {around.settings.data_dir}"
    if free_mib >= _ROOM_WANTED_MIB:
        return ok(seen)
    if free_mib >= _ROOM_NEEDED_MIB:
        return degraded(f"{seen}; setup wants {_ROOM_WANTED_MIB:,}")
    return blocked(f"{seen}; at least {_ROOM_NEEDED_MIB} are needed")


def into_jails(around: Surroundings) -> Finding:
    """Hard links need one file system, reflinks one that can; else each VM copies its image and memory."""
    settings = around.settings
    jails = existing_parent(settings.jails_dir)
    sources = {existing_parent(folder) for folder in (settings.images_dir, settings.snapshots_dir, settings.guest_dir)}
    try:
        cloned = {source: _can_reflink(source, jails) for source in sorted(sources)}
    except PermissionError as error:
        return info(f"not tried: this user may not write in {error.filename}")
    apart = [source for source in sources if not _on_one_file_system(source, jails)]
    if not apart:
        return ok(f"by hard links, on one file system; reflinks: {'yes' if all(cloned.values()) else 'no'}")
    copied = [source for source in apart if not cloned[source]]
    if copied:
        return degraded(f"by copies: {', '.join(map(str, copied))} and the jails in {jails} are on two file systems")
    return ok("by reflinks")


def _on_one_file_system(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def _can_reflink(source_dir: Path, target_dir: Path) -> bool:
    """Really tried, with files that have no name (or lose it at once), so nothing stays whatever happens."""
    with TemporaryFile(dir=source_dir) as source, TemporaryFile(dir=target_dir) as target:
        source.write(_SAMPLE)
        source.flush()
        return reflinked(source.fileno(), target.fileno())
