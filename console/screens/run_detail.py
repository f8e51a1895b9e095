"""A dialog with everything that is known about a past run, and where its time went."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from console.screens.detail import DetailDialog
from console.widgets.detail_pane import Detail, DetailPane
from console.widgets.stage_bar import StageBar
from engine.models import RunEntry


class RunDialog(DetailDialog):
    def __init__(self, detail: Detail, entry: RunEntry) -> None:
        super().__init__(detail)
        self._entry = entry

    def compose_body(self) -> ComposeResult:
        with VerticalScroll():
            yield DetailPane(self.detail)
            yield StageBar()

    def on_mount(self) -> None:
        self.query_one(StageBar).result = self._entry
