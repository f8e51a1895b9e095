"""A question before many things are destroyed at once: the answer is their number, typed."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Input, Static

from console.plain import brief
from console.screens.dialog import Dialog
from console.widgets.plain_fields import PlainInput


class ConfirmCountDialog(Dialog[bool]):
    """Answers True where the operator typed ``count`` and agreed; None or False otherwise."""

    AUTO_FOCUS = "Input"
    hint = "type the number, enter answers, esc cancels"

    def __init__(self, heading: str, text: str, *, count: int, yes: str) -> None:
        super().__init__()
        self.heading = heading
        self._text = text
        self._count = str(count)
        self._yes = yes

    def compose_body(self) -> ComposeResult:
        yield Static(Content("\n".join(brief(line) for line in self._text.split("\n"))), id="question")
        yield PlainInput(placeholder=f"type {self._count} to agree", compact=True)
        with Horizontal(id="answers"):
            yield Button(Content("Cancel"), id="no", compact=True)
            yield Button(Content(self._yes), id="yes", variant="error", compact=True, disabled=True)

    def on_input_changed(self, event: Input.Changed) -> None:
        self.query_one("#yes", Button).disabled = event.value.strip() != self._count

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip() == self._count:
            self.dismiss(True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")
