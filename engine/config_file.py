"""``config.toml`` as a file: one line set or taken away, all others, their order and the comments left as they are."""

from __future__ import annotations

import tomllib
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError

from engine.errors import NotReadyError
from engine.folders import config_dir
from engine.lock import locked_folder
from engine.whole_file import write_whole

Scalar = str | int | float
_MODE = 0o644
_MODE_OF_SECRETS = 0o600
_OTHERS = 0o007


def config_file() -> Path:
    """Where it is, or would be."""
    return config_dir() / "config.toml"


def values(path: Path) -> dict[str, object]:
    """What it says; nothing where it is not there. Raises NotReadyError."""
    return _parsed(_text(path) or "", path)


def change(path: Path, name: str, value: Scalar | None, *, secret: bool = False) -> None:
    """Set ``name`` outside of all tables, or take it away for None; two writers never lose each other's change.

    The mode stays, but a file that gets a ``secret`` is closed to users who are neither its owner nor of its group.
    Raises NotReadyError, and ConflictError where another process does not come to the end of its change.
    """
    target = path.resolve()  # a link stays one
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked_folder(path.parent):
            text = _text(target)
            changed = _with(text or "", name, value, path)
            if changed == (text or ""):
                return
            write_whole(target, changed.encode(), _mode(target, secret=secret and value is not None))
    except OSError as error:
        raise NotReadyError(f"{path} can't be written: {error.strerror}", remedy="Run as its owner") from error


def _mode(path: Path, *, secret: bool) -> int:
    if not path.exists():
        return _MODE_OF_SECRETS if secret else _MODE
    return path.stat().st_mode & (0o777 & ~_OTHERS if secret else 0o777)


def _with(text: str, name: str, value: Scalar | None, path: Path) -> str:
    wanted = {key: each for key, each in _parsed(text, path).items() if key != name}
    if value is not None:
        wanted[name] = value
    try:
        document = tomlkit.parse(text)
        if value is not None:
            document[name] = value
        elif name in document:
            document.remove(name)
        changed = document.as_string()
    except TOMLKitError as error:
        raise _unsafe(path, name) from error
    if _parsed(changed, path) != wanted:
        raise _unsafe(path, name)
    return changed


def _unsafe(path: Path, name: str) -> NotReadyError:
    return NotReadyError(f"{path} is written in a way that can't be changed safely", remedy=f"Change {name} there")


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode()  # as bytes: ends of lines stay what they are
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise NotReadyError(f"{path} can't be read: {error}", remedy="Mend or remove it") from error


def _parsed(text: str, path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise NotReadyError(f"{path} can't be read: {error}", remedy=f"Mend or remove {path}") from error
