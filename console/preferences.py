"""What the operator chose in the console and expects to find again: ``console.toml`` in the config folder."""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from pathlib import Path

from engine.errors import NotReadyError
from engine.folders import config_dir


def _file() -> Path:
    return config_dir() / "console.toml"


def chosen_theme() -> str | None:
    """Name of the theme chosen last; None where there is no choice or the file can't be read as one."""
    theme = _read().get("theme")
    return theme if isinstance(theme, str) else None


def keeps_scratch_history() -> bool:
    """Whether the scratchpad may keep what was run: unless the file says ``scratch_history = false``."""
    return _read().get("scratch_history") is not False


def _read() -> dict[str, object]:
    try:
        return tomllib.loads(_file().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def _lines(values: dict[str, object]) -> str:
    """Flat values as TOML, which writes texts, numbers and booleans as JSON does."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def choose_theme(name: str) -> None:
    """Remember a theme. Raises NotReadyError where the config folder can't be written."""
    target = _file()
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".console-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(_lines(_read() | {"theme": name}))
            Path(temporary).replace(target)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise NotReadyError(
            f"The theme is in use now, but could not be remembered: {error.strerror}.",
            remedy=f"Make {target.parent} writable.",
        ) from error
