"""The rows of a table as the operator wants to see them: filtered, in an order, some marked."""

from __future__ import annotations

from collections.abc import Sequence

from console.widgets.row_filter import RowFilter
from console.widgets.row_order import RowOrder
from console.widgets.rows import Column, Row

RISING, FALLING = "▲", "▼"


class ShownRows:
    """``shown`` are the rows that the filter lets through, in order; ``index`` is their places by key.

    Filter, order and marks go by columns and keys, so they outlast any change of the rows.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = tuple(columns)
        self._all: tuple[Row, ...] = ()
        self.order = RowOrder(columns)
        self.filter = RowFilter()
        self.marks: frozenset[str] = frozenset()
        self.shown: tuple[Row, ...] = ()
        self.index: dict[str, int] = {}

    def set(self, rows: Sequence[Row]) -> None:
        self._all = tuple(rows)
        self.marks &= {row.key for row in rows}
        self.arrange()

    def replace(self, rows: Sequence[Row]) -> None:
        """Put these in place of the shown rows with the same keys, which stay where they are."""
        newer = {row.key: row for row in rows}
        self.shown = tuple(newer.get(row.key, row) for row in self.shown)

    def filter_by(self, words: str) -> None:
        self.filter = RowFilter(words, self._columns)
        self.arrange()

    def arrange(self) -> None:
        self.shown = tuple(self.order.sorted([row for row in self._all if self.filter.passes(row)]))
        self.index = {row.key: index for index, row in enumerate(self.shown)}

    @property
    def marked(self) -> list[str]:
        """Keys of the marked rows, those that the filter hides among them."""
        return [row.key for row in self._all if row.key in self.marks]

    def with_all_marked(self) -> frozenset[str]:
        """The marks if all shown rows had one too, or, where they have, if none of them had."""
        shown = frozenset(self.index)
        return self.marks - shown if shown <= self.marks else self.marks | shown

    @property
    def sign(self) -> str:
        """Of the order, for the header of its column."""
        return FALLING if self.order.falling else RISING

    @property
    def filter_note(self) -> str:
        """How much the filter lets through; empty without one."""
        if not self.filter.words:
            return ""
        return f"{len(self.shown)} of {len(self._all)} match '{self.filter.words}', esc shows all"

    def note(self, visible: Sequence[int]) -> str:
        """What was asked of the table that its rows do not tell; ``visible`` are the columns that fit."""
        order = self.order.column
        hidden = f"by {self._columns[order].title} {self.sign}" if order is not None and order not in visible else ""
        unseen = len(self.marks - self.index.keys())
        marked = f"{len(self.marks)} marked{f', {unseen} of them hidden' if unseen else ''}" if self.marks else ""
        return ", ".join(part for part in (self.filter_note, hidden, marked) if part)
