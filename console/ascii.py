"""The last step before a terminal that has no Unicode: every other character becomes an ASCII one of the same width."""

from __future__ import annotations

from unicodedata import normalize

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

# Codes, not characters, where a character looks like another: dashes.
_SUBSTITUTES = {
    "-": "─━▃\u2013\u2014\u254c",
    "=": "═▄▅",
    "_": "▁▂",
    "|": "│┃║▏▎▍▌▐▕",
    "+": "┌┐└┘├┤┬┴┼╭╮╯╰┏┓┗┛╔╗╚╝",
    "*": "●✓",
    "o": "◐○",
    "x": "✗",
    ">": "▸→",
    "<": "←",
    "^": "↑▲",
    "v": "↓▾▼",
    "~": "…",
    "#": "█▇▆■",
    "!": "≠",
    "%": "▓",
    ":": "▒",
    ".": "░·",
}
UNLIKE = "?"
_TABLE = str.maketrans({char: ascii_ for ascii_, chars in _SUBSTITUTES.items() for char in chars})


def to_ascii(text: str) -> str:
    """Same number of cells, ASCII only: letters lose their marks, what has no likeness becomes ``?``."""
    if text.isascii():
        return text
    shown = "".join(char if char.isascii() else _likeness(char) for char in text.translate(_TABLE))
    cells = cell_len(text)  # of a whole cluster, which may be less than its characters have alone
    return shown[:cells].ljust(cells, UNLIKE)


def _likeness(char: str) -> str:
    base = normalize("NFKD", char)[0]
    cells = cell_len(char)
    return base if cells == 1 and base.isascii() and base.isprintable() else UNLIKE * cells


class AsciiFilter(LineFilter):
    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(to_ascii(text), style, control) for text, style, control in segments]
