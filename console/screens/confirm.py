"""A question before something is destroyed. Cancel has the focus; the answer names what will happen."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Static

from console.plain import brief
from console.screens.dialog import Dialog


class ConfirmDialog(Dialog[bool]):
    """Answers True where the operator agreed; None or False otherwise."""

    AUTO_FOCUS = "#no"
    hint = "tab moves, enter answers, esc cancels"

    def __init__(self, heading: str, text: str, *, yes: str) -> None:
        super().__init__()
        self.heading = heading
        self._text = text
        self._yes = yes

    def compose_body(self) -> ComposeResult:
        yield Static(Content("\n".join(brief(line) for line in self._text.split("\n"))), id="question")
        with Horizontal(id="answers"):
            yield Button(Content("Cancel"), id="no", compact=True)
            yield Button(Content(self._yes), id="yes", variant="error", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def key_left(self) -> None:
        self.query_one("#no").focus()

    def key_right(self) -> None:
        self.query_one("#yes").focus()
