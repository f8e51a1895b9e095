"""Files that setup puts on the host: written whole, recorded before they are there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from engine.errors import ConflictError, NotReadyError
from engine.models import SetupTrace
from engine.setup.base import Notes, made
from engine.whole_file import write_whole


def place(notes: Notes, step: str, path: Path, text: str) -> None:
    """Make the file ``path`` hold ``text``, readable by all, with the folders above it. No place for secrets.

    Raises NotReadyError, and ConflictError where a file is there that is not recorded as setup's.
    """
    data = text.encode()
    try:
        if path.exists() and not is_ours(notes, path):
            raise ConflictError(
                f"{path} is there and not recorded as setup's own", remedy=f"Move {path} away, then try again"
            )
        make_folder(notes.record, step, path.parent)
        notes.record(made(step, "file", path, sha256=hashlib.sha256(data).hexdigest()))
        write_whole(path, data, 0o644)
    except OSError as error:
        raise NotReadyError(
            f"{path} can't be written: {error.strerror or error}", remedy="Run `vmdeck setup` as root"
        ) from error


def is_ours(notes: Notes, path: Path) -> bool:
    return any(trace.kind == "file" and trace.what == str(path) for trace in notes.traces())


def make_folder(record: Callable[[SetupTrace], None], step: str, folder: Path, mode: int = 0o755) -> None:
    """Make ``folder`` and those above it that are missing, each recorded. Raises OSError."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        record(made(step, "folder", each))
        each.mkdir(exist_ok=True)
        each.chmod(mode if each == folder else 0o755)  # whatever the umask is
