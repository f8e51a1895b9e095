"""Lines of a table as segments: its header and its rows, each text made to the width of its column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

from console.plain import CUT_SIGN, plain
from console.widgets.column_fit import GAP
from console.widgets.rows import Column, Row

CURSOR_SIGN = "▸"
MARK_SIGN = "*"
GUTTER = 2
"""Cells before the first column: one for the cursor, one for the mark."""


@dataclass(frozen=True, slots=True)
class TablePaint:
    """``layout`` are (column index, cells); ``style`` gives the style of a role, ``base`` is that of plain text."""

    columns: Sequence[Column]
    layout: Sequence[tuple[int, int]]
    base: Style
    style: Callable[[str], Style]

    def header(self, sorted_by: int | None, sign: str) -> list[Segment]:
        """The sign of the order stands after its column's title, in the gap where the title fills the column."""
        parts = [" " * GUTTER]
        for at, cells in self.layout:
            column = self.columns[at]
            title = aligned(column.title, cells, right=True) if column.right else fitted(column.title, cells)
            parts.append(set_cell_size(title + (sign if at == sorted_by else ""), cells + GAP))
        return [Segment("".join(parts), self.style("header"))]

    def line(self, cursor: Style | None) -> Style:
        """Of a row between its cells; ``cursor`` where the cursor is on it."""
        return self.base + cursor if cursor else self.base

    def row(self, row: Row, *, cursor: Style | None, active: bool, marked: bool) -> list[Segment]:
        """``active`` where the cursor's colours replace those of the cells' roles."""
        line = self.line(cursor)
        segments = [Segment((CURSOR_SIGN if cursor else " ") + (MARK_SIGN if marked else " "), line)]
        for at, cells in self.layout:
            cell = row.cells[at]
            style = self.style(cell.role) if cell.role and not (cursor and active) else self.base
            text = aligned(fitted(cell.text, cells), cells, right=self.columns[at].right)
            segments += [Segment(text, style + cursor if cursor else style), Segment(" " * GAP, line)]
        return segments


def fitted(text: str, cells: int) -> str:
    """Untrusted text as at most ``cells`` cells, cut with a sign."""
    shown = plain(text[: cells * 8 + 8])
    if cell_len(shown) <= cells:
        return shown
    return set_cell_size(shown, cells - 1) + CUT_SIGN if cells > 0 else ""


def aligned(text: str, cells: int, *, right: bool) -> str:
    """Exactly ``cells`` cells."""
    text = text if cell_len(text) <= cells else fitted(text, cells)
    return " " * (cells - cell_len(text)) + text if right else set_cell_size(text, cells)
