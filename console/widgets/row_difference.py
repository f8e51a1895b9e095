"""Where two versions of a row differ on the screen."""

from __future__ import annotations

from collections.abc import Sequence

from console.widgets.column_fit import GAP
from console.widgets.rows import Row

_NEAR = 12
"""Cells between two changes that cost less than another move of the terminal's cursor and another style."""


def changed_spans(layout: Sequence[tuple[int, int]], left: int, old: Row, new: Row) -> list[tuple[int, int]]:
    """From and to which cell, for each change; those that stand near each other go together.

    ``layout`` are (column index, cells), ``left`` is where the first column begins.
    """
    spans: list[tuple[int, int]] = []
    x = left
    for at, cells in layout:
        if old.cells[at][:2] != new.cells[at][:2]:
            near = spans and x - spans[-1][1] <= _NEAR
            start = spans.pop()[0] if near else x
            spans.append((start, x + cells))
        x += cells + GAP
    return spans
