"""The folder on the console's own machine where the scratchpad keeps buffers and history of one operator.

Only the operator may read it (0700, files 0600). Files are replaced whole, so a reader or a killed writer never
leaves half of one.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from engine.errors import NotReadyError


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """A file that can't be used, and why. It is left where it is."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} is not used: {self.reason}"


def scratch_home() -> Path:
    """``$XDG_STATE_HOME/vmdeck/scratch``; a relative XDG_STATE_HOME counts for nothing, as its specification says."""
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (state if state.is_absolute() else Path("~/.local/state").expanduser()) / "vmdeck" / "scratch"


def private_folder(folder: Path) -> Path:
    """Make it if need be, closed to all others. Raises NotReadyError where it can't be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise _not_writable(folder, error) from error
    return folder


def write_whole(target: Path, text: str) -> None:
    """Replace a file's content in one step. Raises NotReadyError."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".")  # mkstemp makes it 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(descriptor)
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _not_writable(target.parent, error) from error


def _not_writable(folder: Path, error: OSError) -> NotReadyError:
    return NotReadyError(
        f"The scratchpad can't be kept in {folder}: {error.strerror}.",
        remedy="Make that folder writable, or name another by XDG_STATE_HOME.",
    )
