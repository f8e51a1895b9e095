"""A data folder of the proof's own: what setup made and builds have downloaded is shared, images are made anew."""

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
    prepared.cache_dir.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=FOLDER) as name:
        data = folder or Path(name) / "data"
        data.mkdir(parents=True, exist_ok=True)
        for shared in (prepared.kernels_dir, prepared.guest_dir, prepared.cache_dir):
            if not (data / shared.name).exists():
                (data / shared.name).symlink_to(shared)
        yield Settings(
            data_dir=data,
            runtime_dir=Path(name) / "run",
            max_running=max(jobs, os.cpu_count() or 1),
            # A host that does nothing else but builds and emulated VMs stalls for longer than one that serves runs.
            boot_deadline_s=180,
            restore_deadline_s=90,
        )
