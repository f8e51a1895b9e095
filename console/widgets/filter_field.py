"""The field over a table that filters it while one types. enter keeps the filter, esc drops it; both go back."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from console.widgets.line_table import LineTable
from console.widgets.plain_fields import PlainInput


class FilterField(PlainInput):
    """Not there until ``open``ed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "drop", show=False)]

    def __init__(self) -> None:
        super().__init__(placeholder="words that a row must contain", compact=True)
        self.display = False
        self._table: LineTable | None = None

    def open(self, table: LineTable) -> None:
        self._table = table
        self.value = table.filter
        self.display = True
        self.focus()

    def watch_value(self, value: str) -> None:
        if self._table is not None:
            self._table.filter = value

    async def action_submit(self) -> None:
        self._close()

    def action_drop(self) -> None:
        self.value = ""
        self._close()

    def _close(self) -> None:
        if self._table is not None:
            self._table.focus()
        self.display = False
