"""The API token, shown for a short while only, with a button that hands it to the terminal's clipboard."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, Static

from console.plain import plain
from console.screens.dialog import Dialog

SHOWN_S = 20.0


class TokenDialog(Dialog[None]):
    AUTO_FOCUS = "#close"
    heading = "API token"
    hint = f"tab moves, esc hides; hidden by itself after {SHOWN_S:.0f} s"

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def compose_body(self) -> ComposeResult:
        yield Static(Content.styled(plain(self._token), "bold $accent"), id="token")
        with Horizontal(id="answers"):
            yield Button(Content("Hide"), id="close", compact=True)
            yield Button(Content("Copy"), id="copy", variant="primary", compact=True)

    def on_mount(self) -> None:
        self.set_timer(SHOWN_S, self._hide)

    def _hide(self) -> None:
        if self.app.screen is self:  # else something lies over it, which is answered first
            self.dismiss(None)
        else:
            self.query_one("#token", Static).update(Content.styled("hidden", "$muted"))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        if event.button.id == "copy":
            self.app.copy(self._token, "token")
        self.dismiss(None)
