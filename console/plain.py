"""Untrusted text made fit for a terminal: guest output, names, anything a stranger may have written.

``plain`` is the only door through which such text reaches the screen. What it returns is one line that holds no
control character, no escape sequence, nothing that reorders, hides or overprints other text, and no markup: callers
draw it as plain segments or ``Content``, never as a string that some widget would parse. One table judges characters
for all who come here: ``brief`` for a sentence, ``plain_lines`` for several lines, ``plain_signs`` for fields.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

TAB_CELLS = 8
CUT_SIGN = "…"
HIDDEN_SIGN = "\ufffd"
MAX_MARKS = 2
"""Combining marks kept on one character; more only serve to smear over neighbouring lines."""

_COLOUR_SEQUENCE = re.compile("(?:\x1b\\[|\x9b)[0-9;:]*m")
_VARIATION_SELECTORS = frozenset((*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
_BLANK_LETTERS = frozenset((0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0))
_HIDDEN = frozenset(("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"))
_TAB = 0x09
_DELETE = 0x7F
_FIRST_MARK = "\u0300"
_MOST_KEPT = 8192


def _shown(code: int) -> str:
    if code == _TAB:
        return "\t"
    if code < 0x20:
        return chr(0x2400 + code)
    if code == _DELETE:
        return "\u2421"
    if code in _VARIATION_SELECTORS:
        return ""
    category = unicodedata.category(chr(code))
    if category in _HIDDEN or code in _BLANK_LETTERS:
        return f"<U+{code:04X}>"
    if category == "Zs":
        return "  " if code == 0x3000 else " "
    return chr(code)


def _sign(code: int) -> str:
    """One character for one."""
    shown = _shown(code)
    return shown if len(shown) == 1 else HIDDEN_SIGN


class _Table(dict[int, str]):
    """For ``str.translate``, filled as characters turn up; bounded, since a guest chooses the characters."""

    def __init__(self, judge: Callable[[int], str]) -> None:
        super().__init__()
        self._judge = judge

    def __missing__(self, code: int) -> str:
        shown = self._judge(code)
        if len(self) < _MOST_KEPT:
            self[code] = shown
        return shown


_SHOWN = _Table(_shown)
_SIGNS = _Table(_sign)


def plain(text: str) -> str:
    """One printable line for any text.

    Colour sequences are dropped, since they only dress; every other control character becomes a visible sign
    (``␛``, ``␍``), invisible and reordering characters become ``<U+202E>``, tabs become spaces.
    """
    if text.isascii() and text.isprintable():
        return text
    shown = _COLOUR_SEQUENCE.sub("", text).translate(_SHOWN)
    if max(shown, default="") >= _FIRST_MARK:
        shown = _with_few_marks(shown)
    return shown.expandtabs(TAB_CELLS)


def plain_signs(text: str) -> str:
    """``plain`` for fields in which text is edited: as many characters as the text has. Tabs stay, and what has no sign
    of its own becomes one that stands for it."""
    if text.isascii() and text.isprintable():
        return text
    shown = text.translate(_SIGNS)
    return _with_few_marks(shown, HIDDEN_SIGN) if max(shown, default="") >= _FIRST_MARK else shown


def _with_few_marks(text: str, instead: str = "") -> str:
    kept: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if char >= _FIRST_MARK and unicodedata.category(char) in ("Mn", "Me") else 0
        kept.append(char if marks <= MAX_MARKS else instead)
    return "".join(kept)


def brief(text: str, limit: int = 400) -> str:
    """``plain`` for a sentence: text over ``limit`` characters is cut with a sign."""
    return plain(text if len(text) <= limit else text[:limit] + CUT_SIGN)


def plain_lines(text: str) -> list[str]:
    """``plain`` for each line of a text of several lines."""
    return [plain(line) for line in text.replace("\r\n", "\n").split("\n")]
