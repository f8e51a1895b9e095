"""What the operator may want of setup beyond its defaults: VMM, releases, sources. An empty field is the default."""

from __future__ import annotations

import re

from pydantic import ValidationError
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Input, Label, Static

from console.screens.dialog import Dialog
from console.widgets.plain_fields import PlainInput
from engine.models import SetupOptions

_FIELDS = (
    ("vmm", "VMM", "auto, firecracker or qemu"),
    ("firecracker", "Firecracker", "a release (1.16.1), or /path/of/archive.tgz"),
    ("kernel", "Kernel", "debian, /path/of/kernel, or https://...#sha256=..."),
    ("mirror", "Mirror", "https site that serves what release sites serve"),
    ("offline", "Offline", "/folder with what would be downloaded"),
)
_LABELS = {key: label for key, label, _ in _FIELDS}
_NO_PATH = {
    "firecracker": re.compile(r"v?\d+(\.\d+)+"),
    "kernel": re.compile(r"debian|.+://.+"),
    "offline": re.compile(r"(?!)"),
}
"""What these fields take beside a path of the engine's host."""


class SetupOptionsForm(Dialog[SetupOptions]):
    """Answers valid options that skip what ``options`` skip, or None."""

    AUTO_FOCUS = "Input"
    heading = "Options of setup"
    hint = "tab moves, enter takes them, esc cancels"

    def __init__(self, options: SetupOptions) -> None:
        super().__init__()
        self._options = options

    def compose_body(self) -> ComposeResult:
        defaults = SetupOptions()
        for key, label, hint in _FIELDS:
            value = getattr(self._options, key)
            with Horizontal(classes="form-row"):
                yield Label(Content(label))
                text = "" if value == getattr(defaults, key) else str(value)
                yield PlainInput(text, placeholder=hint, id=key, compact=True)
        yield Static(Content.styled("Files and folders are those of the engine's host.", "$muted"), id="problem")
        with Horizontal(id="answers"):
            yield Button(Content("Cancel"), id="no", compact=True)
            yield Button(Content("Take"), id="yes", variant="primary", compact=True)

    def on_input_submitted(self) -> None:
        self._answer()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "yes":
            self._answer()
        else:
            self.dismiss(None)

    def _answer(self) -> None:
        values = {entry.id or "": entry.value.strip() for entry in self.query(Input) if entry.value.strip()}
        for key, no_path in _NO_PATH.items():
            value = values.get(key, "/")
            if not value.startswith("/") and not no_path.fullmatch(value):
                self._refuse(key, "a path starts with /, since the engine may run in another folder")
                return
        try:
            self.dismiss(SetupOptions.model_validate(values | {"skip": self._options.skip}))
        except ValidationError as error:
            problem = error.errors()[0]
            self._refuse(str(problem["loc"][0]), problem["msg"])

    def _refuse(self, key: str, why: str) -> None:
        self.query_one("#problem", Static).update(Content.styled(f"{_LABELS[key]}: {why}", "$error"))
        self.query_one(f"#{key}", Input).focus()
