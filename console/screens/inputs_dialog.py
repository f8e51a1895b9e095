"""Texts for standard input, one per run of a batch: a list, and the one under its cursor to edit."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Button, TextArea

from console.actions import DIALOGS, SCRATCH_INPUTS, bindings
from console.plain import CUT_SIGN
from console.quantities import count
from console.scratch.buffer import Buffer
from console.screens.dialog import Dialog
from console.widgets.heading import Heading
from console.widgets.line_table import Cell, Column, LineTable, Row
from console.widgets.plain_fields import PlainTextArea
from engine.models.runs import MAX_BATCH

_FIRST_CHARS = 200


class InputsDialog(Dialog[Literal["run"]]):
    """Answers "run" where the batch is to run. Changes the buffer at once."""

    AUTO_FOCUS = "LineTable"
    BINDINGS: ClassVar = [*bindings(SCRATCH_INPUTS), *bindings(DIALOGS)]
    heading = "Batch: one run for each input"
    hint = "n new, enter edits, D removes, L one per line, tab to Run, esc closes"

    def __init__(self, buffer: Buffer, *, may_run: bool) -> None:
        super().__init__(classes="-large")
        self._buffer = buffer
        self._may_run = may_run

    def compose_body(self) -> ComposeResult:
        yield LineTable([Column("item", 4, right=True), Column("lines", 6, right=True), Column("begins with", 0)])
        yield Heading("Input")
        yield PlainTextArea(compact=True, show_line_numbers=False, highlight_cursor_line=False, placeholder="empty")
        yield Button(Content("Run the batch"), id="yes", variant="primary", compact=True, disabled=not self._may_run)

    def on_mount(self) -> None:
        self._show_rows()
        self.query_one(LineTable).move_cursor(str(self._buffer.stdin_at))
        self._show_text()

    def _show_rows(self) -> None:
        self.query_one(LineTable).set_rows(
            [
                Row(
                    str(index),
                    (
                        Cell(str(index + 1)),
                        Cell(str(len(text.splitlines())), "muted"),
                        Cell(_beginning(text)),
                    ),
                )
                for index, text in enumerate(self._buffer.stdins)
            ]
        )
        self.query_one(Heading).show(count(len(self._buffer.stdins), "input"))

    def _show_text(self) -> None:
        area = self.query_one(TextArea)
        with area.prevent(TextArea.Changed):
            area.load_text(self._buffer.stdin)

    def _go(self, index: int) -> None:
        self._buffer.stdin_at = index
        self._show_rows()
        self.query_one(LineTable).move_cursor(str(index))
        self._show_text()

    def on_line_table_highlighted(self, event: LineTable.Highlighted) -> None:
        if event.key is not None and int(event.key) != self._buffer.stdin_at:
            self._buffer.stdin_at = int(event.key)
            self._show_text()

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        self._buffer.stdins[self._buffer.stdin_at] = event.text_area.text
        self._show_rows()

    def on_key(self, event: events.Key) -> None:
        if event.key == "ctrl+r" and self._may_run:
            event.stop()
            self.dismiss("run")

    def on_button_pressed(self) -> None:
        self.dismiss("run")

    def on_line_table_chosen(self) -> None:
        self.action_edit_input()

    def action_close(self) -> None:
        """From the text first back to the list."""
        if self.query_one(TextArea).has_focus:
            self.query_one(LineTable).focus()
        else:
            self.dismiss(None)

    def action_add_input(self) -> None:
        if self._room(1):
            self._buffer.stdins.append("")
            self._go(len(self._buffer.stdins) - 1)
            self.query_one(TextArea).focus()

    def action_edit_input(self) -> None:
        self.query_one(TextArea).focus()

    def action_remove_input(self) -> None:
        at = self._buffer.stdin_at
        del self._buffer.stdins[at]
        if not self._buffer.stdins:
            self._buffer.stdins.append("")
        self._go(min(at, len(self._buffer.stdins) - 1))

    def action_split_input(self) -> None:
        at = self._buffer.stdin_at
        lines = self._buffer.stdin.splitlines(keepends=True)
        if len(lines) > 1 and self._room(len(lines) - 1):
            self._buffer.stdins[at : at + 1] = lines
            self._go(at)

    def _room(self, more: int) -> bool:
        if len(self._buffer.stdins) + more <= MAX_BATCH:
            return True
        self.app.tell(f"A batch has at most {MAX_BATCH} inputs.", failed=True)
        return False


def _beginning(text: str) -> str:
    first, _, rest = text[:_FIRST_CHARS].partition("\n")
    return f"{first} {CUT_SIGN}" if rest or len(text) > _FIRST_CHARS else first
