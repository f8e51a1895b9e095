"""What a table is made of: columns, and rows of cells, each with its key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Cell(NamedTuple):
    """Text (may be untrusted) and its role: "", "ok", "warning", "error", "muted" or "accent".

    ``value`` is what to sort by where the text does not say it: bytes behind ``43M``, seconds behind ``3m05s``.
    """

    text: str
    role: str = ""
    value: float | str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """``width`` in cells; 0 takes what is left; up to ``most`` where there is much room.

    The lower ``priority``, the earlier the column leaves a narrow table. ``live`` marks values that change at every
    look: a table sorted by them is put in order now and then, not each time.
    """

    title: str
    width: int = 0
    right: bool = False
    priority: int = 9
    most: int = 0
    live: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    key: str
    cells: tuple[Cell, ...]

    def contains(self, words: Sequence[str]) -> bool:
        """Whether each of the words, whatever its case, is in one of the cells."""
        text = " ".join(cell.text for cell in self.cells).lower()
        return all(word.lower() in text for word in words)
