"""A dialog to choose several languages: each with what its image takes, as far as that was measured."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.widgets import Input

from console.language_facts import STATES, state_of
from console.quantities import UNKNOWN, short_age, size
from console.screens.dialog import Dialog
from console.widgets.line_table import Cell, Column, LineTable, Row
from console.widgets.plain_fields import PlainInput
from engine.models import Language


class LanguagesDialog(Dialog[tuple[str, ...]]):
    """Answers the ids of the marked languages, those that were chosen before first; without a mark the one under the
    cursor."""

    AUTO_FOCUS = "LineTable"
    COLUMNS: ClassVar = (
        Column("LANGUAGE", 18),
        Column("STATE", 14),
        Column("CATEGORY", 10, priority=5),
        Column("SIZE", 8, right=True, priority=8),
        Column("BUILD", 6, right=True, priority=8),
        Column("NAMES", 0, priority=3),
    )
    heading = "Languages to build images for"
    hint = "space marks, / finds, enter takes, q cancels"

    def __init__(self, languages: Sequence[Language], chosen: Collection[str]) -> None:
        super().__init__()
        self._languages = tuple(languages)
        self._chosen = tuple(chosen)

    def compose_body(self) -> ComposeResult:
        yield PlainInput(placeholder="find", compact=True)
        yield LineTable(self.COLUMNS, empty=("nothing of that name",), sortable=False)

    def on_mount(self) -> None:
        table = self.query_one(LineTable)
        table.markable = True
        table.set_rows([_row(language) for language in self._languages])
        table.mark(self._chosen)
        if self._chosen:
            table.move_cursor(self._chosen[0])

    def on_line_table_filter_wanted(self) -> None:
        self.query_one(Input).focus()

    def on_line_table_highlighted(self, event: LineTable.Highlighted) -> None:
        """What is looked for goes with the filter; while one types, the filter follows."""
        field = self.query_one(Input)
        if not (field.has_focus or event.table.filter):
            field.value = ""

    def on_input_changed(self, event: Input.Changed) -> None:
        self.query_one(LineTable).filter = event.value

    def on_input_submitted(self) -> None:
        self.query_one(LineTable).focus()

    def on_key(self, event: events.Key) -> None:
        if event.key == "enter" and self.query_one(LineTable).has_focus:
            event.stop()  # or the screen below would answer it too
            self._take()

    def on_line_table_chosen(self) -> None:
        self.query_one(LineTable).action_mark()

    def _take(self) -> None:
        table = self.query_one(LineTable)
        marked = table.marked or ([table.cursor] if table.cursor is not None else [])
        if marked:
            first = [each for each in self._chosen if each in marked]
            self.dismiss((*first, *(each for each in marked if each not in first)))


def _row(language: Language) -> Row:
    measured = language.measured
    build_s = None if measured is None else measured.build_s
    image_bytes = None if measured is None else measured.image_bytes
    return Row(
        language.id,
        (
            Cell(language.title),
            STATES[state_of(language)].cell,
            Cell(language.category, "muted"),
            Cell(size(image_bytes), "", image_bytes),
            Cell(UNKNOWN if build_s is None else short_age(build_s), "", build_s),
            Cell(" ".join((language.id, *language.aliases)), "muted"),
        ),
    )
