"""A live table that repaints single rows.

Textual's DataTable repaints itself whole for any change, 10 KB a tick at 80x24; this one marks only rows that differ
as dirty. The cursor belongs to a row's key, so it stays on its row when rows come, go or change places. Columns have
fixed widths; those of low priority leave first when room is short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.actions import LISTS, bindings
from console.plain import CUT_SIGN, plain

CURSOR_SIGN = "▸"
_GUTTER = 2
_MARGIN = 1
_LEAST_OPEN = 8
_AMPLE_OPEN = 24
_GAP = 2


class Cell(NamedTuple):
    """Text (may be untrusted) and its role: "", "ok", "warning", "error", "muted" or "accent"."""

    text: str
    role: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """``width`` in cells; 0 takes what is left; up to ``most`` where there is much room.

    The lower ``priority``, the earlier the column leaves a narrow table.
    """

    title: str
    width: int = 0
    right: bool = False
    priority: int = 9
    most: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    key: str
    cells: tuple[Cell, ...]


class LineTable(ScrollView, can_focus=True):
    """Rows with a cursor and a filter. Shows ``empty`` text while there is no row."""

    BINDINGS: ClassVar = bindings(LISTS)
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

    class Highlighted(Message):
        """The cursor came to another row, or its row went (None)."""

        def __init__(self, table: LineTable, key: str | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> LineTable:
            return self.table

    class Chosen(Message):
        """A click on the row under the cursor."""

        def __init__(self, table: LineTable, key: str) -> None:
            super().__init__()
            self.table = table
            self.key = key

        @property
        def control(self) -> LineTable:
            return self.table

    class FilterWanted(Message):
        """The operator pressed the filter key."""

        def __init__(self, table: LineTable) -> None:
            super().__init__()
            self.table = table

    def __init__(
        self, columns: Sequence[Column], *, empty: Sequence[str] = (), header: bool = True, active: bool = False
    ) -> None:
        """``active`` shows the cursor as if focused: for a table that a field beside it steers."""
        super().__init__()
        self._top = 1 if header else 0
        self._active = active
        self._columns = tuple(columns)
        self._empty = tuple(empty)
        self._all: tuple[Row, ...] = ()
        self._rows: tuple[Row, ...] = ()
        self._index: dict[str, int] = {}
        self._cursor: str | None = None
        self._filter: tuple[str, ...] = ()
        self._fitted: tuple[int, list[tuple[int, int]]] = (-1, [])

    # --- what others read and set

    @property
    def cursor(self) -> str | None:
        """Key of the row under the cursor."""
        return self._cursor

    @property
    def keys(self) -> list[str]:
        """Keys of the rows that the filter lets through, in order."""
        return [row.key for row in self._rows]

    @property
    def filter(self) -> str:
        return " ".join(self._filter)

    @filter.setter
    def filter(self, words: str) -> None:
        self._filter = tuple(words.lower().split())
        self._apply()
        self.post_message(self.Highlighted(self, self._cursor))

    @property
    def filter_note(self) -> str:
        """How much the filter lets through; empty without one."""
        if not self._filter:
            return ""
        return f"{len(self._rows)} of {len(self._all)} match '{self.filter}', esc shows all"

    def set_rows(self, rows: Sequence[Row]) -> None:
        """Show these rows; repaints those that changed."""
        self._all = tuple(rows)
        self._apply()

    def set_empty(self, lines: Sequence[str]) -> None:
        """What to show while there is no row."""
        if tuple(lines) != self._empty:
            self._empty = tuple(lines)
            if not self._rows:
                self.refresh()

    def move_cursor(self, key: str) -> None:
        """Put the cursor on a row, if it is there."""
        if key in self._index:
            self._go(self._index[key])

    # --- rows

    def _apply(self) -> None:
        before = self._rows
        old_index = self._index.get(self._cursor or "", 0)
        self._rows = tuple(row for row in self._all if self._passes(row))
        self._index = {row.key: index for index, row in enumerate(self._rows)}
        same_rows = [row.key for row in before] == [row.key for row in self._rows]
        if same_rows:
            for index, (old, new) in enumerate(zip(before, self._rows, strict=True)):
                if old != new:
                    self._refresh_cells(index, old, new)
        else:
            self._resize()
            self.refresh()
        if self._cursor not in self._index:
            at = min(old_index, len(self._rows) - 1)
            self._cursor = self._rows[at].key if self._rows else None
            self.post_message(self.Highlighted(self, self._cursor))
        if not same_rows:
            self._show_cursor()

    def _passes(self, row: Row) -> bool:
        if not self._filter:
            return True
        text = " ".join(cell.text for cell in row.cells).lower()
        return all(word in text for word in self._filter)

    def _refresh_cells(self, index: int, old: Row, new: Row) -> None:
        """Mark only cells that differ as dirty: a row costs ten times what an age or a percentage costs."""
        y = self._top + index - self.scroll_offset.y
        if not self._top <= y < self.size.height:
            return
        x = _GUTTER
        for at, cells in self._fitted[1]:
            if old.cells[at] != new.cells[at]:
                self.refresh(Region(x, y, cells, 1))
            x += cells + _GAP

    def _refresh_row(self, index: int) -> None:
        y = self._top + index - self.scroll_offset.y
        if self._top <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    # --- geometry

    def on_resize(self, event: events.Resize) -> None:
        self._resize()
        self._show_cursor()

    def _resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._rows) + self._top)

    def _layout(self, width: int) -> list[tuple[int, int]]:
        if self._fitted[0] != width:
            self._fitted = (width, self._fit(width - _GUTTER - _MARGIN))
        return self._fitted[1]

    def _fit(self, room: int) -> list[tuple[int, int]]:
        """Columns that fit and their widths, as (column index, cells)."""
        kept = list(range(len(self._columns)))

        def needed() -> int:
            return sum((self._columns[at].width or _LEAST_OPEN) + _GAP for at in kept) - _GAP

        while len(kept) > 1 and needed() > room:
            kept.remove(min(kept, key=lambda at: (self._columns[at].priority, -at)))
        fixed = sum(self._columns[at].width for at in kept) + _GAP * (len(kept) - 1)
        widths = {at: self._columns[at].width for at in kept}
        spare = max(0, room - fixed)
        open_columns = [at for at in kept if not widths[at]]
        for at in kept:
            growth = min(self._columns[at].most - widths[at], spare - _AMPLE_OPEN * len(open_columns))
            if growth > 0:
                widths[at] += growth
                spare -= growth
        if not open_columns:
            widths[kept[0]] += spare
        return [(at, widths[at] or spare // len(open_columns)) for at in kept]

    # --- cursor

    def _go(self, index: int) -> None:
        if not self._rows:
            return
        index = max(0, min(index, len(self._rows) - 1))
        key = self._rows[index].key
        if key == self._cursor:
            return
        old = self._index.get(self._cursor or "")
        self._cursor = key
        if old is not None:
            self._refresh_row(old)
        self._refresh_row(index)
        self._show_cursor()
        self.post_message(self.Highlighted(self, key))

    def _show_cursor(self) -> None:
        if self._cursor is None:
            return
        index = self._index[self._cursor]
        page = max(1, self.size.height - self._top)
        top = self.scroll_offset.y
        if index < top:
            self.scroll_to(y=index, animate=False, force=True)
        elif index >= top + page:
            self.scroll_to(y=index - page + 1, animate=False, force=True)

    def _step(self, by: int) -> None:
        self._go(self._index.get(self._cursor or "", 0) + by)

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
        self._go(len(self._rows) - 1)

    def action_filter(self) -> None:
        self.post_message(self.FilterWanted(self))

    def action_clear_filter(self) -> None:
        self.filter = ""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without a filter there is none to clear: the key is left to a dialog around the table, which it closes."""
        return bool(self._filter) if action == "clear_filter" else True

    def on_click(self, event: events.Click) -> None:
        index = event.y - self._top + self.scroll_offset.y
        if event.y < self._top or index >= len(self._rows):
            return
        if self._rows[index].key == self._cursor:
            self.post_message(self.Chosen(self, self._rows[index].key))
        else:
            self._go(index)

    def on_focus(self) -> None:
        self._refresh_row(self._index.get(self._cursor or "", 0))

    def on_blur(self) -> None:
        self._refresh_row(self._index.get(self._cursor or "", 0))

    # --- painting

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"line-table--{name}")

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        base = self.rich_style
        if y < self._top:
            return self._header(width)
        index = y - self._top + self.scroll_offset.y
        if index < len(self._rows):
            return self._row(self._rows[index], width)
        blank = self._top * 2
        if not self._rows and blank <= y < blank + len(self._empty):
            text = _fitted(self._empty[y - blank], max(0, width - _GUTTER - _MARGIN))
            return Strip([Segment("  " + text, self._style("muted"))]).adjust_cell_length(width, base)
        return Strip.blank(width, base)

    def _header(self, width: int) -> Strip:
        parts = [" " * _GUTTER]
        for at, cells in self._layout(width):
            column = self._columns[at]
            parts += [_aligned(column.title, cells, column.right), " " * _GAP]
        style = self._style("header")
        return Strip([Segment("".join(parts), style)]).adjust_cell_length(width, style)

    def _row(self, row: Row, width: int) -> Strip:
        here = row.key == self._cursor
        active = self.has_focus or self._active
        base = self.rich_style
        cursor = self._style("cursor" if active else "cursor-blurred") if here else None
        line = base + cursor if cursor else base
        segments = [Segment(f"{CURSOR_SIGN} " if here else "  ", line)]
        for at, cells in self._layout(width):
            cell = row.cells[at]
            style = self._style(cell.role) if cell.role and not (here and active) else base
            text = _aligned(_fitted(cell.text, cells), cells, self._columns[at].right)
            segments += [Segment(text, style + cursor if cursor else style), Segment(" " * _GAP, line)]
        return Strip(segments).adjust_cell_length(width, line).simplify()


def _fitted(text: str, cells: int) -> str:
    """Untrusted text as at most ``cells`` cells, cut with a sign."""
    shown = plain(text[: cells * 8 + 8])
    if cell_len(shown) <= cells:
        return shown
    return set_cell_size(shown, cells - 1) + CUT_SIGN if cells > 0 else ""


def _aligned(text: str, cells: int, right: bool) -> str:
    text = text if cell_len(text) <= cells else _fitted(text, cells)
    return " " * (cells - cell_len(text)) + text if right else set_cell_size(text, cells)
