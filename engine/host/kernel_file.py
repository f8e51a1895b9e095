"""One line that the kernel shows of itself as a file below /proc or /sys."""

from __future__ import annotations

from pathlib import Path


def told(path: Path) -> str | None:
    """The text without its line end; None where this kernel has no such file. Raises OSError otherwise."""
    try:
        return path.read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
