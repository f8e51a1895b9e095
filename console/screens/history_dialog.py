"""What was run from the scratchpad: find, reopen, compare two, delete."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.widgets import Input

from console.actions import DIALOGS, SCRATCH_HISTORY, bindings
from console.quantities import count, duration_ms
from console.scratch.endings import ending
from console.scratch.history import Found, ScratchHistory
from console.scratch.past import PastEntry
from console.screens.confirm import ConfirmDialog
from console.screens.dialog import Dialog
from console.screens.difference_dialog import DifferenceDialog
from console.states import cell_role
from console.widgets.heading import Heading
from console.widgets.line_table import Cell, Column, LineTable, Row
from console.widgets.plain_fields import PlainInput

_FIND = "find"
_TWO = 2
_COLUMNS = (
    Column("", 1),
    Column("WHEN", 14),
    Column("LANGUAGE", 10, most=16),
    Column("OUTCOME", 18, most=30),
    Column("TIME", 9, right=True, priority=5),
    Column("CODE", 0),
)


class HistoryDialog(Dialog[PastEntry]):
    """Answers the entry to reopen. While the find field has the keys, letters go there."""

    AUTO_FOCUS = "LineTable"
    BINDINGS: ClassVar = [*bindings(SCRATCH_HISTORY), *bindings(DIALOGS)]
    heading = "History of the scratchpad"
    hint = "enter reopens, / finds, v marks, d diff, D deletes, C clears"

    def __init__(self, history: ScratchHistory, *, kept: bool) -> None:
        """``kept`` is whether new runs are added to it."""
        super().__init__(classes="-large")
        self._history = history
        self._kept = kept
        self._entries: dict[str, PastEntry] = {}
        self._marked: list[str] = []

    def compose_body(self) -> ComposeResult:
        yield PlainInput(placeholder="/ words in code, output, language or status", compact=True)
        yield LineTable(_COLUMNS, empty=("looking",))
        yield Heading()

    def on_mount(self) -> None:
        self._find()

    # --- finding

    def _find(self) -> None:
        look = partial(self._look, self.query_one(Input).value)
        self.run_worker(look, group=_FIND, exclusive=True, exit_on_error=False)

    async def _look(self, words: str) -> None:
        found = await asyncio.to_thread(self._history.find, words)
        self._entries = {entry.id: entry for entry in found.entries}
        self._marked = [entry_id for entry_id in self._marked if entry_id in self._entries]
        table = self.query_one(LineTable)
        nothing = "No entry has these words." if words.strip() else "Nothing was run yet."
        table.set_empty([nothing])
        self._show_rows()
        self._show_note(found)

    def _show_rows(self) -> None:
        self.query_one(LineTable).set_rows([self._row(entry) for entry in self._entries.values()])

    def _show_note(self, found: Found) -> None:
        heading = self.query_one(Heading)
        if found.broken:
            first, *others = found.broken
            more = f", and {len(others)} more" if others else ""
            heading.show(f"✗ {first}{more}", "warning")
        else:
            off = "" if self._kept else "; new runs are not kept: scratch_history = false"
            heading.show(count(len(found.entries), "entry", "entries") + off)

    def _row(self, entry: PastEntry) -> Row:
        words, role = self._ending(entry)
        first = entry.runs[0].result if entry.kind == "run" and entry.runs else None
        code = next((line.strip() for line in entry.request.code.split("\n") if line.strip()), "")
        return Row(
            entry.id,
            (
                Cell("*" if entry.id in self._marked else "", "accent"),
                Cell(f"{entry.at:%m-%d %H:%M:%S}", "muted"),
                Cell(entry.request.language),
                Cell(words, role),
                Cell(duration_ms(first.timings.total) if first else ""),
                Cell(code, "muted"),
            ),
        )

    def _ending(self, entry: PastEntry) -> tuple[str, str]:
        if entry.kind == "run" and entry.runs:
            words, role = ending(entry.runs[0].live())
            return words, cell_role(role)
        good = sum(run.result is not None and run.result.status == "success" for run in entry.runs)
        sign = "✓" if good == len(entry.runs) else "✗"
        return f"{sign} {entry.kind} {good} of {len(entry.runs)}", "ok" if good == len(entry.runs) else "warning"

    def on_input_changed(self) -> None:
        self._find()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(LineTable).focus()

    def on_line_table_filter_wanted(self, event: LineTable.FilterWanted) -> None:
        self.query_one(Input).focus()

    def on_key(self, event: events.Key) -> None:
        if event.key == "down" and self.query_one(Input).has_focus:
            event.stop()
            self.query_one(LineTable).focus()

    def action_close(self) -> None:
        """From the find field first back to the list."""
        field = self.query_one(Input)
        if field.has_focus:
            field.value = ""
            self.query_one(LineTable).focus()
        else:
            self.dismiss(None)

    # --- entries

    @property
    def _here(self) -> PastEntry | None:
        return self._entries.get(self.query_one(LineTable).cursor or "")

    def action_reopen(self) -> None:
        if (entry := self._here) is not None:
            self.dismiss(entry)

    def on_line_table_chosen(self, event: LineTable.Chosen) -> None:
        self.action_reopen()

    def action_mark(self) -> None:
        """Mark the entry or take its mark; of three the oldest mark goes."""
        if (entry := self._here) is None:
            return
        if entry.id in self._marked:
            self._marked.remove(entry.id)
        else:
            self._marked = [*self._marked, entry.id][-_TWO:]
        self._show_rows()

    def action_difference(self) -> None:
        """Of the two marked; of the one marked, or of none, with the one under the cursor and the one before it."""
        chosen = list(self._marked)
        ids = list(self._entries)
        if (entry := self._here) is not None:
            at = ids.index(entry.id)
            chosen += [one for one in (entry.id, *ids[at + 1 : at + 2]) if one not in chosen]
        if len(chosen) < _TWO:
            self.app.tell("A difference needs two entries: v marks.")
            return
        left, right = sorted(chosen[:_TWO])
        self.app.push_screen(DifferenceDialog(self._entries[left], self._entries[right]))

    def action_remove(self) -> None:
        if (entry := self._here) is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._remove(entry.id), exit_on_error=False)

        text = f"The run of {entry.at:%Y-%m-%d %H:%M:%S} and its result are deleted from this machine."
        self.app.push_screen(ConfirmDialog("Delete this entry?", text, yes="Delete"), answered)

    async def _remove(self, entry_id: str) -> None:
        await asyncio.to_thread(self._history.remove, entry_id)
        self._find()

    def action_clear(self) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._clear(), exit_on_error=False)

        text = "All runs and results that the scratchpad keeps are deleted from this machine."
        self.app.push_screen(ConfirmDialog("Delete the whole history?", text, yes="Delete all"), answered)

    async def _clear(self) -> None:
        removed = await asyncio.to_thread(self._history.clear)
        self.app.tell(f"Deleted {count(removed, 'entry', 'entries')}.")
        self._find()
