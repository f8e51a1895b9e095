"""The order of rows that an operator chose: by one column, either way, equals as they came."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

from console.quantities import UNKNOWN
from console.widgets.rows import Cell, Column, Row

RESORT_EVERY_S = 5.0
"""A column that changes all the time is sorted no more often, or no row would stand still long enough to be read."""

_NUMBERS = re.compile(r"(\d+)")
_SORTED_CHARS = 200
_SortKey = tuple[tuple[int, float, str], ...]


class RowOrder:
    """As the rows come, until a column is chosen."""

    def __init__(self, columns: Sequence[Column], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._columns = tuple(columns)
        self._clock = clock
        self._places: dict[str, int] = {}
        self._sorted_at = 0.0
        self.column: int | None = None
        self.falling = False

    def choose(self, column: int | None) -> None:
        """Sort by this column, numbers from the largest; None for as they come. The same one again turns it round."""
        if column is not None and column == self.column:
            self.reverse()
            return
        self.column = column
        self.falling = column is not None and self._columns[column].right
        self._places = {}

    def reverse(self) -> None:
        self.falling = not self.falling
        self._places = {}

    def sorted(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows in order. Between two sortings by a live column they keep their places, new ones last."""
        if self.column is None:
            return rows
        if self._places and self._columns[self.column].live and self._clock() - self._sorted_at < RESORT_EVERY_S:
            last = len(self._places)
            return sorted(rows, key=lambda row: self._places.get(row.key, last))
        found = self._by(self.column, rows)
        self._places = {row.key: place for place, row in enumerate(found)}
        self._sorted_at = self._clock()
        return found

    def _by(self, column: int, rows: Sequence[Row]) -> list[Row]:
        known = [row for row in rows if row.cells[column].text not in ("", UNKNOWN)]
        unknown = [row for row in rows if row.cells[column].text in ("", UNKNOWN)]
        return sorted(known, key=lambda row: _sort_key(row.cells[column]), reverse=self.falling) + unknown


def _sort_key(cell: Cell) -> _SortKey:
    """Numbers before texts; in texts, runs of digits count as numbers: vm-9 comes before vm-10."""
    if isinstance(cell.value, int | float):
        return ((0, float(cell.value), ""),)
    text = (cell.value if cell.value is not None else cell.text)[:_SORTED_CHARS].lower()
    return tuple(
        (0, float(part), "") if at % 2 else (1, 0.0, part) for at, part in enumerate(_NUMBERS.split(text)) if part
    )
