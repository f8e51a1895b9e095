"""A data and runtime folder of a test's own, over the artefacts that `vmdeck setup` made."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.settings import Settings

# Of this test session alone, so that what it leaves can be told from what others do on the same machine.
SESSION = f"{secrets.token_hex(4)}"
PREFIX = f"vmd-{SESSION}-"
FOLDER = Path("/tmp")


@contextmanager
def made_lab(prepared: Settings, **changed: object) -> Iterator[Settings]:
    """Artefacts are those of ``prepared``, snapshots may be added; ``changed`` are further settings.

    The runtime path is short, as in production: a unix socket's path has at most 107 bytes.
    """
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=FOLDER) as name:
        home = Path(name)
        data = home / "data"
        data.mkdir()
        for part in ("kernels", "guest", "images"):
            (data / part).symlink_to(prepared.data_dir / part)
        (data / "snapshots").mkdir()
        (data / "vmm").mkdir()
        for snapshot in prepared.snapshots_dir.iterdir() if prepared.snapshots_dir.is_dir() else ():
            if not snapshot.name.startswith("."):
                (data / "snapshots" / snapshot.name).symlink_to(snapshot)
        yield Settings.model_validate({"data_dir": data, "runtime_dir": home / "run", **changed})
