"""Memory that only one VMM process costs the host: the pages it has written."""

from __future__ import annotations

import asyncio
from pathlib import Path

_SAMPLE_S = 0.2
_SETTLED_BYTES = 128 * 1024
_SAMPLES_MAX = 50


def private_bytes(pid: int, kind: str = "Anonymous") -> int:
    """A line of /proc/<pid>/smaps_rollup (proc(5)).

    Anonymous counts copies of pages, and pages of no file; Private_Clean what it alone has read of files until now.
    """
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"smaps_rollup has no {kind}")


async def settled_private_bytes(pid: int) -> int:
    """The same once it hardly grows any more: a guest that has just woken up still writes."""
    before = private_bytes(pid)
    for _ in range(_SAMPLES_MAX):
        await asyncio.sleep(_SAMPLE_S)
        now = private_bytes(pid)
        if now - before < _SETTLED_BYTES:
            return now
        before = now
    return before
