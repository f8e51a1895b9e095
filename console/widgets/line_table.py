"""A live table that repaints single cells.

Textual's DataTable repaints itself whole for any change, 10 KB a tick at 80x24; this one marks only cells that differ
as dirty. The cursor and the marks belong to rows' keys, so they stay on their rows when rows come, go or change
places. Columns have fixed widths; those of low priority leave first when room is short.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from console.actions import LISTS, MARKS, SORTING, bindings
from console.plain import plain
from console.widgets.column_fit import column_at, fit
from console.widgets.row_difference import changed_spans
from console.widgets.rows import Cell, Column, Row
from console.widgets.shown_rows import ShownRows
from console.widgets.table_paint import GUTTER, TablePaint, fitted

__all__ = ["Cell", "Column", "LineTable", "Row"]

_MARGIN = 1
_SORT_ACTIONS = ("sort", "reverse")
_MARK_ACTIONS = ("mark", "mark_all")


class LineTable(ScrollView, can_focus=True):
    """Rows with a cursor, a filter, an order and marks. Shows ``empty`` text while there is no row.

    ``sortable`` and ``markable`` say what the operator may do; where an action is for many rows, its screen sets
    ``markable``.
    """

    BINDINGS: ClassVar = [*bindings(LISTS), *bindings(SORTING), *bindings(MARKS)]
    COMPONENT_CLASSES: ClassVar = {
        "line-table--header",
        "line-table--cursor",
        "line-table--cursor-blurred",
        "line-table--ok",
        "line-table--warning",
        "line-table--error",
        "line-table--muted",
        "line-table--accent",
    }

    class _About(Message):
        """Something about one table."""

        def __init__(self, table: LineTable) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> LineTable:
            return self.table

    class Highlighted(_About):
        """The cursor came to another row, or its row went (None); or other rows are shown or marked."""

        def __init__(self, table: LineTable, key: str | None) -> None:
            super().__init__(table)
            self.key = key

    class Chosen(_About):
        """A click on the row under the cursor."""

        def __init__(self, table: LineTable, key: str) -> None:
            super().__init__(table)
            self.key = key

    class FilterWanted(_About):
        """The operator pressed the filter key."""

    class SortWanted(_About):
        """The operator wants to choose a column to sort by."""

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        empty: Sequence[str] = (),
        header: bool = True,
        active: bool = False,
        sortable: bool = True,
    ) -> None:
        """``active`` shows the cursor as if focused: for a table that a field beside it steers."""
        super().__init__()
        self.sortable = sortable
        self.markable = False
        self._top = 1 if header else 0
        self._active = active
        self._columns = tuple(columns)
        self._empty = tuple(empty)
        self._view = ShownRows(columns)
        self._cursor: str | None = None
        self._hidden: frozenset[int] = frozenset()
        self._fitted: tuple[int, list[tuple[int, int]]] = (-1, [])

    # --- what others read and set

    @property
    def columns(self) -> tuple[Column, ...]:
        return self._columns

    @property
    def hidden(self) -> frozenset[int]:
        """Indices of columns that are left out now, however much room there is."""
        return self._hidden

    @hidden.setter
    def hidden(self, columns: frozenset[int]) -> None:
        if columns != self._hidden:
            self._hidden = columns
            self._fitted = (-1, [])
            self.refresh()
            self._tell()

    @property
    def cursor(self) -> str | None:
        """Key of the row under the cursor."""
        return self._cursor

    @property
    def keys(self) -> list[str]:
        """Keys of the rows that the filter lets through, in order."""
        return [row.key for row in self._view.shown]

    @property
    def text(self) -> str:
        """The shown rows, one a line, cells apart by tabs."""
        return "\n".join("\t".join(plain(cell.text) for cell in row.cells) for row in self._view.shown)

    @property
    def keys_in_view(self) -> list[str]:
        """Keys of the rows that can be seen now."""
        return [row.key for row in self._view.shown[self.scroll_offset.y :][: max(0, self.size.height - self._top)]]

    @property
    def marked(self) -> list[str]:
        """Keys of the marked rows, those that the filter hides among them."""
        return self._view.marked

    def mark(self, keys: Collection[str]) -> None:
        """Mark these rows, as far as they are there, and no others."""
        self._mark(frozenset(keys) & self._view.index.keys())

    @property
    def filter(self) -> str:
        return self._view.filter.words

    @filter.setter
    def filter(self, words: str) -> None:
        with self._repainting():
            self._view.filter_by(words)
        self._tell()

    @property
    def filter_note(self) -> str:
        """How much the filter lets through; empty without one."""
        return self._view.filter_note

    @property
    def note(self) -> str:
        """What the operator asked of the table: filter, marks, and an order by a column that has no room."""
        return self._view.note([at for at, _ in self._fitted[1]])

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Show these rows; repaints the cells that changed."""
        with self._repainting():
            self._view.set(rows)

    def update_rows(self, rows: Sequence[Row]) -> None:
        """Show these in place of the rows with the same keys, which stay where they are."""
        with self._repainting():
            self._view.replace(rows)

    def set_empty(self, lines: Sequence[str]) -> None:
        """What to show while there is no row."""
        if tuple(lines) != self._empty:
            self._empty = tuple(lines)
            if not self._view.shown:
                self.refresh()

    def move_cursor(self, key: str) -> None:
        """Put the cursor on a row, if it is there."""
        if key in self._view.index:
            self._go(self._view.index[key])

    @property
    def sorted_by(self) -> str:
        """Index of the column that sorts, empty for the order of ``set_rows``."""
        return "" if self._view.order.column is None else str(self._view.order.column)

    def sort(self, column: int | None) -> None:
        """Sort by a column, or None for the order of ``set_rows``; by the same column again: the other way round."""
        self._view.order.choose(column)
        self._reordered()

    def _tell(self) -> None:
        self.post_message(self.Highlighted(self, self._cursor))

    # --- what changed

    @contextmanager
    def _repainting(self) -> Generator[None]:
        """Around a change of the rows: the cursor stays on its row, or where that was; what differs is repainted."""
        view, cursor = self._view, self._cursor
        before, index, marks = view.shown, view.index, view.marks
        yield
        if cursor not in view.index:
            at = min(index.get(cursor or "", 0), len(view.shown) - 1)
            self._cursor = view.shown[at].key if view.shown else None
            self._tell()
        if len(before) != len(view.shown):
            self._resize()
        self._repaint(before, cursor, marks)
        if index != view.index:
            self._show_cursor()

    def _repaint(self, before: Sequence[Row], cursor: str | None, marks: frozenset[str]) -> None:
        """Mark as dirty what differs: a row costs ten times what an age or a percentage costs."""
        shown = self._view.shown
        if not before or not shown:
            if before or shown:
                self.refresh()
            return
        scrolled = self.scroll_offset.y
        for index in range(scrolled, min(max(len(before), len(shown)), scrolled + self.size.height - self._top)):
            if index >= min(len(before), len(shown)):
                self._refresh_row(index)
                continue
            old, new = before[index], shown[index]
            if (old.key == cursor) != (new.key == self._cursor):
                self._refresh_row(index)
                continue
            if (old.key in marks) != (new.key in self._view.marks):
                self.refresh(Region(0, self._top + index - scrolled, GUTTER, 1))
            for start, end in changed_spans(self._fitted[1], GUTTER, old, new):
                self.refresh(Region(start, self._top + index - scrolled, end - start, 1))

    def _refresh_row(self, index: int) -> None:
        y = self._top + index - self.scroll_offset.y
        if self._top <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    # --- geometry

    def on_resize(self, event: events.Resize) -> None:
        self._resize()
        self._show_cursor()
        self._tell()

    def _resize(self) -> None:
        # Setting virtual_size the plain way lays the screen out anew and repaints the whole table.
        size = Size(self.size.width, len(self._view.shown) + self._top)
        self.set_reactive(Widget.virtual_size, size)
        self._scroll_update(size)

    def _layout(self, width: int) -> list[tuple[int, int]]:
        if self._fitted[0] != width:
            self._fitted = (width, fit(self._columns, width - GUTTER - _MARGIN, self._hidden))
        return self._fitted[1]

    # --- cursor

    def _go(self, index: int) -> None:
        if not self._view.shown:
            return
        index = max(0, min(index, len(self._view.shown) - 1))
        key = self._view.shown[index].key
        if key == self._cursor:
            return
        old = self._view.index.get(self._cursor or "")
        self._cursor = key
        if old is not None:
            self._refresh_row(old)
        self._refresh_row(index)
        self._show_cursor()
        self._tell()

    def _show_cursor(self) -> None:
        if self._cursor is None:
            return
        index = self._view.index[self._cursor]
        page = max(1, self.size.height - self._top)
        top = self.scroll_offset.y
        if index < top:
            self.scroll_to(y=index, animate=False, force=True)
        elif index >= top + page:
            self.scroll_to(y=index - page + 1, animate=False, force=True)

    def _step(self, by: int) -> None:
        self._go(self._view.index.get(self._cursor or "", 0) + by)

    def action_cursor_up(self) -> None:
        self._step(-1)

    def action_cursor_down(self) -> None:
        self._step(1)

    def action_page_up(self) -> None:
        self._step(-max(1, self.size.height - 2))

    def action_page_down(self) -> None:
        self._step(max(1, self.size.height - 2))

    def action_first(self) -> None:
        self._go(0)

    def action_last(self) -> None:
        self._go(len(self._view.shown) - 1)

    def on_click(self, event: events.Click) -> None:
        index = event.y - self._top + self.scroll_offset.y
        if event.y < self._top:
            if self.sortable and (column := column_at(self._fitted[1], event.x - GUTTER)) is not None:
                self.sort(column)
        elif index < len(self._view.shown):
            if self._view.shown[index].key == self._cursor:
                self.post_message(self.Chosen(self, self._view.shown[index].key))
            else:
                self._go(index)

    def on_focus(self) -> None:
        self._refresh_row(self._view.index.get(self._cursor or "", 0))

    def on_blur(self) -> None:
        self._refresh_row(self._view.index.get(self._cursor or "", 0))

    # --- filter, order, marks

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "clear_filter":
            return bool(self.filter or self._view.marks)  # else the key means what the screen makes of it
        if action in _SORT_ACTIONS:
            return self.sortable
        if action in _MARK_ACTIONS:
            return self.markable
        return super().check_action(action, parameters)

    def action_filter(self) -> None:
        self.post_message(self.FilterWanted(self))

    def action_clear_filter(self) -> None:
        if self.filter:
            self.filter = ""
        else:
            self._mark(frozenset())

    def action_sort(self) -> None:
        self.post_message(self.SortWanted(self))

    def action_reverse(self) -> None:
        if self._view.order.column is not None:
            self._view.order.reverse()
            self._reordered()

    def _reordered(self) -> None:
        """Who stands on the first row when choosing an order wants to see what comes first in it."""
        at_top = self._view.index.get(self._cursor or "") == 0
        self.refresh(Region(0, 0, self.size.width, self._top))
        with self._repainting():
            self._view.arrange()
        if at_top:
            self._go(0)
        self._tell()

    def action_mark(self) -> None:
        """Mark the row, or take its mark away; then on to the next one."""
        if self._cursor is not None:
            self._mark(self._view.marks ^ {self._cursor})
            self._step(1)

    def action_mark_all(self) -> None:
        self._mark(self._view.with_all_marked())

    def _mark(self, marks: frozenset[str]) -> None:
        with self._repainting():
            self._view.marks = marks
        self._tell()

    # --- painting

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"line-table--{name}")

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        base = self.rich_style
        paint = TablePaint(self._columns, self._layout(width), base, self._style)
        if y < self._top:
            header = paint.header(self._view.order.column, self._view.sign)
            return Strip(header).adjust_cell_length(width, self._style("header"))
        index = y - self._top + self.scroll_offset.y
        if index < len(self._view.shown):
            return self._row(paint, self._view.shown[index], width)
        blank = self._top * 2
        if not self._view.shown and blank <= y < blank + len(self._empty):
            text = fitted(self._empty[y - blank], max(0, width - GUTTER - _MARGIN))
            return Strip([Segment("  " + text, self._style("muted"))]).adjust_cell_length(width, base)
        return Strip.blank(width, base)

    def _row(self, paint: TablePaint, row: Row, width: int) -> Strip:
        active = self.has_focus or self._active
        cursor = self._style("cursor" if active else "cursor-blurred") if row.key == self._cursor else None
        segments = paint.row(row, cursor=cursor, active=active, marked=row.key in self._view.marks)
        return Strip(segments).adjust_cell_length(width, paint.line(cursor)).simplify()
