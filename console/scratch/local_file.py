"""Text files of the machine that the console runs on: what the scratchpad opens and saves. Calls touch the disk."""

from __future__ import annotations

from pathlib import Path

from engine.errors import ConflictError, InputError, NotReadyError
from engine.models.runs import MAX_CODE_BYTES


def read_text_file(path: Path) -> str:
    """Raises InputError where it is no text file of at most ``MAX_CODE_BYTES``."""
    try:
        if not path.is_file():
            raise InputError(f"{path} is not a file.", remedy="Give the path of a text file.")
        with path.open("rb") as file:
            data = file.read(MAX_CODE_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}.", remedy="Give a file that can be read.") from error
    if len(data) > MAX_CODE_BYTES:
        raise InputError(f"{path} is over {MAX_CODE_BYTES:,} bytes.", remedy="No run takes so much code.")
    try:
        return data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error.reason}.", remedy="Give a text file in UTF-8.") from error


def write_text_file(path: Path, text: str, *, replace: bool) -> None:
    """Raises ConflictError where there is one and it is not to be replaced, NotReadyError where it can't be written."""
    try:
        with path.open("w" if replace else "x", encoding="utf-8", newline="") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConflictError(f"{path} exists.", remedy="Give another path, or agree to replace it.") from error
    except OSError as error:
        raise NotReadyError(
            f"{path} can't be written: {error.strerror}.", remedy="Give a path in a folder that can be written."
        ) from error


def local_path(text: str) -> Path:
    """As typed, with ``~`` for the home folder. Raises InputError where it is no path."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(f"{text}: {error}.", remedy="Write the whole path.") from error
