"""Who holds a folder: the engine that made it writes its process identity inside, so that remains show.

The note is a file named ``owner`` with ``str(ProcessId)``. A folder whose owner has ended is for the next
engine to reap.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from engine.host.process import ProcessId

OWNER_FILE = "owner"


def claim(folder: Path) -> None:
    """Write this process down as the owner. Raises OSError."""
    (folder / OWNER_FILE).write_text(_identity(os.getpid()))


@cache
def _identity(pid: int) -> str:
    """Of this process, looked up once: it is written for every VM."""
    return str(ProcessId.of(pid))


def owner_of(folder: Path) -> ProcessId | None:
    """None where nobody wrote a (whole) note. Raises OSError where it can't be read."""
    try:
        return ProcessId.parse((folder / OWNER_FILE).read_text())
    except (FileNotFoundError, ValueError):
        return None
