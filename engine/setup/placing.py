"""Files that setup puts on the host: written whole under another name, then renamed; recorded before they are there."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from engine.errors import NotReadyError
from engine.setup.base import Record, made


def place(record: Record, step: str, path: Path, text: str, mode: int = 0o644) -> None:
    """Make the file ``path`` hold ``text``, with the folders above it.

    A file that was there before and is not setup's own is replaced as well: paths are chosen so that it is an older
    one of vmdeck. Raises NotReadyError.
    """
    data = text.encode()
    try:
        make_folder(record, step, path.parent)
        record(made(step, "file", path, sha256=hashlib.sha256(data).hexdigest()))
        write_whole(path, data, mode)
    except OSError as error:
        raise NotReadyError(
            f"{path} can't be written: {error.strerror or error}", remedy="Run `vmdeck setup` as root"
        ) from error


def make_folder(record: Record, step: str, folder: Path, mode: int = 0o755) -> None:
    """Make ``folder`` and those above it that are missing, each recorded. Raises OSError."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        record(made(step, "folder", each))
        each.mkdir(exist_ok=True)
        each.chmod(mode if each == folder else 0o755)  # whatever the umask is


def write_whole(path: Path, data: bytes, mode: int) -> None:
    """Readers see the old content or the new, never a part; it is on the disk when this returns. Raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
