"""Where to write what the list of runs shows; asks before a file is overwritten."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from console.field_spec import FieldSpec
from console.run_export import FORMATS
from console.screens.confirm import ConfirmDialog
from console.screens.form import FormDialog
from engine.errors import InputError
from engine.models import Value

_KINDS = " or ".join(FORMATS)


class ExportTo(Value):
    path: Path
    overwrite: bool = False


class ExportForm(FormDialog[ExportTo, ExportTo]):
    """Answers a path whose folder is there and whose suffix is known, or None."""

    fields = (FieldSpec("path", "File here"),)
    about = (f"The console's host, not the engine's. The name ends in {_KINDS}.",)
    REQUEST = ExportTo
    YES = "Write"
    hint = "tab moves, enter writes it, esc cancels"

    def __init__(self, what: str, name: str) -> None:
        super().__init__({"path": f"~/{name}.csv"})
        self.heading = f"Export {what}"

    def faults(self, values: Mapping[str, str]) -> dict[str, str]:
        path = Path(values.get("path", ""))
        return {} if path.suffix in FORMATS else {"path": f"The name must end in {_KINDS}"}

    async def send(self, request: ExportTo) -> ExportTo | None:
        path, exists = await asyncio.to_thread(_looked_at, request.path)
        if exists:
            text = f"{path} exists. What is in it will be lost."
            if not await self.app.push_screen_wait(ConfirmDialog("Overwrite?", text, yes="Overwrite")):
                return None
        return ExportTo(path=path, overwrite=exists)


def _looked_at(path: Path) -> tuple[Path, bool]:
    """The path in full, and whether there is a file already. Raises InputError where none can be written there."""
    try:
        path = path.expanduser()
        if path.is_dir():
            raise InputError(f"{path} is a folder", remedy="Name a file in it.")
        if not path.parent.is_dir():
            raise InputError(f"There is no folder {path.parent}", remedy="Make it, or name another.")
        return path, path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, a home nobody has, a NUL
        raise InputError(str(error), remedy="Name another file.") from None
