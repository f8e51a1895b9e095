"""The output of one run among several, large."""

from __future__ import annotations

from textual.app import ComposeResult

from console.live_run import LiveRun
from console.scratch.endings import full_ending
from console.screens.dialog import Dialog
from console.widgets.heading import Heading
from console.widgets.output_view import OutputView
from console.widgets.stage_bar import StageBar


class OutputDialog(Dialog[None]):
    AUTO_FOCUS = "OutputView"
    large = True

    def __init__(self, heading: str, run: LiveRun) -> None:
        super().__init__(classes="-large")
        self.heading = heading
        self._run = run

    def compose_body(self) -> ComposeResult:
        yield Heading()
        yield OutputView(self._run.log, hint="no output")
        yield StageBar()

    def on_mount(self) -> None:
        self.query_one(Heading).show(*full_ending(self._run))
        self.query_one(StageBar).result = self._run.result
