"""The files of a buffer: show, add, rename, remove. Paths are those that a run takes."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from pydantic import ValidationError
from textual.app import ComposeResult

from console.actions import DIALOGS, SCRATCH_FILES, bindings
from console.fault_words import fault_words
from console.plain import brief
from console.quantities import size
from console.scratch.buffer import Buffer, BufferFile
from console.screens.confirm import ConfirmDialog
from console.screens.dialog import Dialog
from console.screens.name_dialog import NameDialog
from console.widgets.line_table import Cell, Column, LineTable, Row
from engine.models import SourceFile

_ABOUT = "Path below the work folder, as data/words.txt"


class FilesDialog(Dialog[int]):
    """Answers the index of the file to show, None where that stays. Changes the buffer at once."""

    AUTO_FOCUS = "LineTable"
    BINDINGS: ClassVar = [*bindings(SCRATCH_FILES), *bindings(DIALOGS)]
    heading = "Files of this buffer"
    hint = "enter shows, n new, r renames, D removes, esc closes"

    def __init__(self, buffer: Buffer, main_name: str) -> None:
        super().__init__()
        self._buffer = buffer
        self._main_name = main_name

    def compose_body(self) -> ComposeResult:
        yield LineTable([Column("path", 0), Column("size", 9, right=True)])

    def on_mount(self) -> None:
        self._show(self._buffer.at)

    def _show(self, at: int) -> None:
        table = self.query_one(LineTable)
        table.set_rows(
            [
                Row(
                    str(index),
                    (
                        Cell(file.path or f"{self._main_name}, the code"),
                        Cell(size(len(file.text.encode(errors="replace"))), "muted"),
                    ),
                )
                for index, file in enumerate(self._buffer.files)
            ]
        )
        table.move_cursor(str(at))

    @property
    def _here(self) -> int:
        return int(self.query_one(LineTable).cursor or 0)

    def _wrong(self, path: str, but: int | None = None) -> str:
        others = {file.path for index, file in enumerate(self._buffer.files) if index not in (0, but)}
        if path == self._main_name:
            return f"{path} is the code's own place"
        if path in others:
            return "there is a file of that path"
        try:
            SourceFile(path=path, content="")
        except ValidationError as error:
            return fault_words(error.errors()[0])
        return ""

    def action_show_file(self) -> None:
        self.dismiss(self._here)

    def on_line_table_chosen(self, event: LineTable.Chosen) -> None:
        self.action_show_file()

    def action_add_file(self) -> None:
        def answered(path: str | None) -> None:
            if path is not None:
                self._buffer.files.append(BufferFile(path=path))
                self.dismiss(len(self._buffer.files) - 1)

        self.app.push_screen(NameDialog("New file", _ABOUT, wrong=self._wrong), answered)

    def action_rename_file(self) -> None:
        index = self._here
        if not index:
            self.app.tell("The code has the name that its language gives it.")
            return

        def answered(path: str | None) -> None:
            if path is not None:
                self._buffer.files[index].path = path
                self._show(index)

        before = self._buffer.files[index].path
        wrong = partial(self._wrong, but=index)
        self.app.push_screen(NameDialog("Rename file", _ABOUT, value=before, wrong=wrong), answered)

    def action_remove_file(self) -> None:
        index = self._here
        if not index:
            self.app.tell("The code can't be removed; close the buffer instead.")
            return

        def answered(yes: bool | None) -> None:
            if yes:
                del self._buffer.files[index]
                self._buffer.at = min(self._buffer.at, index - 1)
                self._show(index - 1)

        path = brief(self._buffer.files[index].path)
        self.app.push_screen(ConfirmDialog(f"Remove {path}?", "It goes from this buffer.", yes="Remove"), answered)
