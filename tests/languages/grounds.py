"""A data folder of the proof's own: kernel and initramfs are those of setup, images and snapshots are made here."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.settings import Settings
from tests.lab import FOLDER, PREFIX


@contextmanager
def made_grounds(prepared: Settings, *, jobs: int, folder: Path | None = None) -> Iterator[Settings]:
    """``folder`` is kept afterwards, with what is in it; without one all is removed."""
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=FOLDER) as name:
        data = folder or Path(name) / "data"
        data.mkdir(parents=True, exist_ok=True)
        for part in ("kernels", "guest"):
            if not (data / part).exists():
                (data / part).symlink_to(prepared.data_dir / part)
        yield Settings(data_dir=data, runtime_dir=Path(name) / "run", max_running=max(jobs, os.cpu_count() or 1))
