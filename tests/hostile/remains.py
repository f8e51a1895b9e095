"""What an engine's VMs are on this host, seen from outside the engine."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.settings import Settings

_DEADLINE_S = 10.0


def vmm_pids(settings: Settings) -> set[int]:
    """Processes that work in a VM's folder of this engine: its VMMs, on their way in or out too."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            folder = (entry / "cwd").readlink()
        except OSError:
            continue
        if b"-machine" in command and folder.is_relative_to(settings.vms_dir):
            found.add(int(entry.name))
    return found


def remains(settings: Settings) -> list[str]:
    """VMM processes, VM folders and half-made snapshots, one line each."""
    folders = settings.vms_dir.iterdir() if settings.vms_dir.is_dir() else ()
    staged = settings.snapshots_dir.glob(".*") if settings.snapshots_dir.is_dir() else ()
    return [
        *(f"process {pid}" for pid in vmm_pids(settings)),
        *(f"folder {folder.name}" for folder in folders),
        *(f"half a snapshot {folder.name}" for folder in staged),
    ]


async def noted_vmm(settings: Settings) -> int:
    """The pid of the one VMM of this engine, as soon as its VM's folder tells it."""
    async with asyncio.timeout(_DEADLINE_S):
        while True:
            for note in settings.vms_dir.glob("*/vmm"):
                if text := note.read_text():
                    return int(text.split()[0])
            await asyncio.sleep(0)


async def gone(settings: Settings) -> None:
    """Until no VMM process is left."""
    async with asyncio.timeout(_DEADLINE_S):
        while vmm_pids(settings):
            await asyncio.sleep(0.01)
