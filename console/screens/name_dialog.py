"""Asks for one line of text, a path mostly, and says what is wrong with it before it takes it."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input, Static

from console.plain import brief
from console.screens.dialog import Dialog
from console.widgets.plain_fields import PlainInput


class NameDialog(Dialog[str]):
    """Answers the text. ``wrong`` says why a text can't be taken, empty where it can."""

    AUTO_FOCUS = "Input"
    hint = "enter takes it, esc closes"

    def __init__(self, heading: str, about: str, *, value: str = "", wrong: Callable[[str], str] | None = None) -> None:
        super().__init__()
        self.heading = heading
        self._about = about
        self._value = value
        self._wrong = wrong

    def compose_body(self) -> ComposeResult:
        yield Static(Content.styled(brief(self._about), "$muted"))
        yield PlainInput(self._value, compact=True)
        yield Static(id="problem")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        text = event.value.strip()
        if not text:
            return
        if self._wrong is not None and (problem := self._wrong(text)):
            self.query_one("#problem", Static).update(Content.styled(f"✗ {brief(problem)}", "$error"))
            return
        self.dismiss(text)
