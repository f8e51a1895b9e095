"""Where to write what the list of runs shows; asks before a file is overwritten."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Input, Label, Static

from console.plain import brief
from console.run_export import FORMATS
from console.screens.confirm import ConfirmDialog
from console.screens.dialog import Dialog
from console.widgets.plain_fields import PlainInput


@dataclass(frozen=True, slots=True)
class ExportTo:
    path: Path
    overwrite: bool


class ExportForm(Dialog[ExportTo]):
    """Answers a path whose folder is there and whose suffix is known, or None."""

    AUTO_FOCUS = "Input"
    hint = "tab moves, enter writes it, esc cancels"

    def __init__(self, what: str, name: str) -> None:
        super().__init__()
        self.heading = f"Export {what}"
        self._name = name

    def compose_body(self) -> ComposeResult:
        with Horizontal(classes="form-row"):
            yield Label(Content("File here"))
            yield PlainInput(f"~/{self._name}.csv", id="path", compact=True, select_on_focus=False)
        kinds = " or ".join(FORMATS)
        yield Static(Content.styled(f"The console's host, not the engine's. The name ends in {kinds}.", "$muted"))
        yield Static(id="problem")
        with Horizontal(id="answers"):
            yield Button(Content("Cancel"), id="no", compact=True)
            yield Button(Content("Write"), id="yes", variant="primary", compact=True)

    def on_input_submitted(self) -> None:
        self._answer()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self._answer()
        else:
            self.dismiss(None)

    def _answer(self) -> None:
        try:
            path = Path(self.query_one(Input).value.strip()).expanduser()
            problem = _problem(path)
        except (OSError, RuntimeError, ValueError) as error:  # a name too long, a home nobody has, a NUL
            path, problem = Path(), str(error)
        if problem:
            self.query_one("#problem", Static).update(Content.styled(brief(problem), "$error"))
        elif path.exists():
            self._ask_before(ExportTo(path, overwrite=True))
        else:
            self.dismiss(ExportTo(path, overwrite=False))

    def _ask_before(self, to: ExportTo) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self.dismiss(to)

        text = f"{to.path} exists. What is in it will be lost."
        self.app.push_screen(ConfirmDialog("Overwrite?", text, yes="Overwrite"), answered)


def _problem(path: Path) -> str:
    if path.suffix not in FORMATS:
        return f"The name must end in {' or '.join(FORMATS)}"
    if path.is_dir():
        return f"{path} is a folder"
    return "" if path.parent.is_dir() else f"There is no folder {path.parent}"
