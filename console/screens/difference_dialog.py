"""Two past runs beside each other: figures as a table, outputs as a unified diff."""

from __future__ import annotations

import asyncio

from textual.app import ComposeResult

from console.scratch.difference import figures, output_difference
from console.scratch.past import PastEntry
from console.screens.dialog import Dialog
from console.widgets.diff_view import DiffView
from console.widgets.heading import Heading
from console.widgets.line_table import Cell, Column, LineTable, Row


class DifferenceDialog(Dialog[None]):
    """``left`` is the older one."""

    AUTO_FOCUS = "DiffView"
    heading = "Difference of two runs"
    hint = "arrows scroll, tab goes to the figures, esc closes"

    def __init__(self, left: PastEntry, right: PastEntry) -> None:
        super().__init__(classes="-large")
        self._left, self._right = left, right

    def compose_body(self) -> ComposeResult:
        times = [f"{entry.at:%m-%d %H:%M:%S}" for entry in (self._left, self._right)]
        yield LineTable([Column("", 12), Column(times[0], 0), Column(times[1], 0)])
        yield Heading("Output")
        yield DiffView()

    def on_mount(self) -> None:
        self.query_one(LineTable).set_rows(
            [
                Row(name, (Cell(name, "muted"), Cell(left), Cell(right, "" if left == right else "accent")))
                for name, left, right in figures(self._left, self._right)
            ]
        )
        self.run_worker(self._compare(), exit_on_error=False)

    async def _compare(self) -> None:
        lines = await asyncio.to_thread(output_difference, self._left, self._right)
        self.query_one(Heading).show("they differ" if lines else "the same in both")
        self.query_one(DiffView).show(lines)
