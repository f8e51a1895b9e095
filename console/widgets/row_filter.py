"""Which rows an operator wants to see, as words: ``python``, ``!ready`` (without it), ``state:run`` (in a column)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from console.widgets.rows import Column, Row

WITHOUT = "!"
IN_COLUMN = ":"


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    column: int | None
    unwanted: bool

    def fits(self, row: Row) -> bool:
        cells = row.cells if self.column is None else row.cells[self.column : self.column + 1]
        return (self.text in " ".join(cell.text for cell in cells).lower()) is not self.unwanted


class RowFilter:
    """Lets a row through that fits all ``words``; without words, every row."""

    def __init__(self, words: str = "", columns: Sequence[Column] = ()) -> None:
        titles = [column.title.lower() for column in columns]
        self.words = " ".join(words.lower().split())
        # A word of which only the sign is typed so far asks for nothing yet.
        self._wanted = [word for text in self.words.split() if (word := _word(text, titles)).text]

    def passes(self, row: Row) -> bool:
        return all(word.fits(row) for word in self._wanted)


def _word(text: str, titles: Sequence[str]) -> _Word:
    unwanted = text.startswith(WITHOUT)
    text = text.removeprefix(WITHOUT)
    name, colon, rest = text.partition(IN_COLUMN)
    column = _named(name, titles) if colon and name else None
    return _Word(text if column is None else rest, column, unwanted)


def _named(name: str, titles: Sequence[str]) -> int | None:
    """The column of that title, else the first whose title begins so."""
    if name in titles:
        return titles.index(name)
    return next((at for at, title in enumerate(titles) if title.startswith(name)), None)
