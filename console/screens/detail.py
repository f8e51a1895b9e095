"""A dialog with everything known about one thing."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll

from console.screens.dialog import Dialog
from console.widgets.detail_pane import Detail, DetailPane


class DetailDialog(Dialog[None]):
    AUTO_FOCUS = "VerticalScroll"

    def __init__(self, detail: Detail) -> None:
        super().__init__()
        self.detail = detail
        self.heading = detail.title

    def compose_body(self) -> ComposeResult:
        with VerticalScroll():
            yield DetailPane(self.detail)

    def key_enter(self, event: events.Key) -> None:
        event.stop()  # or the screen below would answer it too
        self.dismiss(None)
