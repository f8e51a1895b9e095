"""The API token for the service: one line of a file that only root reads; its other lines are others'."""

from __future__ import annotations

import re
from pathlib import Path

from engine.errors import ConflictError, InputError, NotReadyError
from engine.setup.base import Notes, made
from engine.setup.placing import make_folder
from engine.whole_file import write_whole

NAME = "VMDECK_API_TOKEN"
_LINE = re.compile(rf"^[ \t]*{NAME}[ \t]*=.*\n?", re.MULTILINE)
_MODE = 0o600


def put(notes: Notes, step: str, path: Path, token: str) -> None:
    """Make ``token`` the one in ``path``; neither it nor a digest of it is recorded.

    Raises InputError for a token that can't stand there, ConflictError where the operator has written another one
    there, and NotReadyError.
    """
    wanted = _assignment(token)
    try:
        text = path.read_text() if path.exists() else ""
        if wanted in text.splitlines(keepends=True):
            path.chmod(_MODE)
            return
        ours = any(trace.kind == "token" and trace.what == str(path) for trace in notes.traces())
        if _LINE.search(text) and not ours:
            raise ConflictError(
                f"{path} has a token that is not recorded as setup's own",
                remedy=f"Remove its line {NAME}=, or run this without {NAME}",
            )
        make_folder(notes.record, step, path.parent)
        notes.record(made(step, "token", path))
        rest = _LINE.sub("", text)
        write_whole(path, f"{rest}{'' if rest.endswith(chr(10)) or not rest else chr(10)}{wanted}".encode(), _MODE)
    except (OSError, UnicodeDecodeError) as error:
        raise NotReadyError(f"{path} can't be written: {error}", remedy="Mend it, and run this as root") from None


def remove(path: Path) -> None:
    """Drop the line, and the file where it held nothing else. Raises OSError."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return
    rest = _LINE.sub("", text)
    if rest.strip():
        write_whole(path, rest.encode(), _MODE)
    else:
        path.unlink()


def _assignment(token: str) -> str:
    """The line, as systemd.exec(5) reads it. The token is never quoted in an error."""
    if not token.isprintable():
        raise InputError(f"{NAME} has control characters", remedy="Use printable ones")
    escaped = token.replace("\\", "\\\\").replace('"', '\\"').replace("`", "\\`").replace("$", "\\$")
    return f'{NAME}="{escaped}"\n'
