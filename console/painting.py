"""What the terminal shows now, cell by cell, so that an update sends only what differs.

Textual sends each dirty region again, from the start of the widget's line: a changed figure in a table costs the whole
row before it. Compared here, a tick of a busy table is a tenth of that, which is what a slow line feels. Textual is
pinned to the version whose updates this reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import get_character_cell_size
from rich.color import ColorSystem
from rich.console import COLOR_SYSTEMS
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

from console.plain import plain_signs

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_WORTH_A_MOVE = 6  # cells that cost less to send again than to jump over
_RESET = "\x1b[0m"


class _Cell(NamedTuple):
    """A character and the codes that style it; the second half of a wide one has no text."""

    text: str
    codes: str


_UNKNOWN = _Cell("\0", "")


class Sequences(CompositorUpdate):
    """An update that is ready to be written."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.text

    def render_segments(self, console: Console) -> str:
        return self.text


class Painting:
    """The cells of the terminal, as far as they are known. Every update that is written must go through here."""

    def __init__(self) -> None:
        self._rows: list[list[_Cell]] = []

    def forget(self) -> None:
        """Something else may have painted: the next updates send all that they cover."""
        self._rows = []

    def difference(self, update: CompositorUpdate, console: Console) -> Sequences | None:
        """What to write so that the terminal shows ``update`` too; None where it does already."""
        system = COLOR_SYSTEMS.get(console.color_system or "", ColorSystem.TRUECOLOR)
        pen = _Pen()
        for x, y, strips in _pieces(update):
            self._paint(x, y, [cell for strip in strips for cell in _cells(strip, system)], pen)
        return Sequences(pen.text) if pen.text else None

    def _paint(self, x: int, y: int, cells: list[_Cell], pen: _Pen) -> None:
        while len(self._rows) <= y:
            self._rows.append([])
        row = self._rows[y]
        row.extend([_UNKNOWN] * (x + len(cells) - len(row)))
        for start, end in _runs(row[x : x + len(cells)], cells):
            pen.write(x + start, y, cells[start:end])
        row[x : x + len(cells)] = cells


class _Pen:
    """Collects sequences; changes place and style only where they are not the last ones."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._codes = ""

    @property
    def text(self) -> str:
        return "".join((*self._parts, _RESET)) if self._parts else ""

    def write(self, x: int, y: int, cells: list[_Cell]) -> None:
        self._parts.append(f"\x1b[{y + 1};{x + 1}H")
        for cell in cells:
            if cell.codes != self._codes:
                self._parts.append(f"\x1b[0;{cell.codes}m" if cell.codes else _RESET)
                self._codes = cell.codes
            self._parts.append(cell.text)


def _runs(before: list[_Cell], now: list[_Cell]) -> Iterator[tuple[int, int]]:
    """Start and end of what differs; close neighbours are one, and no wide character is cut."""
    start = end = -1
    for at, (old, new) in enumerate(zip(before, now, strict=True)):
        if old == new:
            continue
        if start < 0:
            start = at
        elif at - end > _WORTH_A_MOVE:
            yield _whole(start, end, now)
            start = at
        end = at + 1
    if start >= 0:
        yield _whole(start, end, now)


def _whole(start: int, end: int, cells: list[_Cell]) -> tuple[int, int]:
    while start > 0 and not cells[start].text:
        start -= 1
    while end < len(cells) and not cells[end].text:
        end += 1
    return start, end


def _pieces(update: CompositorUpdate) -> Iterator[tuple[int, int, Iterable[Strip]]]:
    """Column, line and content of each part of an update."""
    if isinstance(update, LayoutUpdate):
        for y, strips in enumerate(update.strips, update.region.y):
            yield update.region.x, y, strips
    elif isinstance(update, ChopsUpdate):
        # Chops are whole where any of their line is dirty, so none has to be cut, which could halve a wide character.
        dirty = {
            (y, x): strip
            for y, x1, x2 in update.spans
            for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False)
            if strip is not None and x < x2 and end > x1
        }
        for (y, x), strip in dirty.items():
            yield x, y, (strip,)
    else:
        raise TypeError(f"an update of another kind than the console's screens make: {type(update).__name__}")


def _cells(strip: Strip, system: ColorSystem) -> Iterator[_Cell]:
    for segment in strip:
        codes = _codes(segment.style, system)
        # The last door: text that came past ``plain`` by a mistake steers no terminal either.
        text = segment.text if segment.text.isprintable() else plain_signs(segment.text).replace("\t", " ")
        if text.isascii():
            yield from (_Cell(character, codes) for character in text)
        else:
            yield from _wide_cells(text, codes)


def _wide_cells(text: str, codes: str) -> Iterator[_Cell]:
    """A mark without a width of its own goes with the character before it."""
    cluster, width = "", 0
    for character in text:
        wide = get_character_cell_size(character)
        if wide and width:
            yield from _clustered(cluster, width, codes)
            cluster, width = "", 0
        cluster += character
        width += wide
    if width:
        yield from _clustered(cluster, width, codes)


def _clustered(cluster: str, width: int, codes: str) -> Iterator[_Cell]:
    yield _Cell(cluster, codes)
    if width == 2:
        yield _Cell("", codes)


def _codes(style: Style | None, system: ColorSystem) -> str:
    """The parameters of the style's escape sequence. Links are left out: nobody here follows one."""
    if style is None:
        return ""
    before = Strip.render_style(style, "x", system).partition("x")[0]
    start = before.rfind("\x1b[")
    return before[start + 2 : -1] if start >= 0 else ""
