"""The screen as text: what stands where, then which style each cell has. Small, and a reviewer can read its diff."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from string import ascii_letters, digits
from typing import Any

from rich.style import Style
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual.app import App

_ATTRIBUTES = ("bold", "dim", "italic", "underline", "reverse", "strike", "blink")
_LETTERS = ascii_letters + digits


class ScreenText(SingleFileSnapshotExtension):
    """One ``.txt`` file per screen."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"

    def serialize(self, data: Any, **_: Any) -> str:
        return str(data)


def picture(app: App[Any]) -> str:
    """Lines of text between bars; then per line runs of cells with one style, and what the styles' letters mean."""
    strips = app.screen._compositor.render_strips()
    legend: dict[str, str] = {}
    texts = [f"|{strip.text}|" for strip in strips]
    rows: list[str] = []
    for number, strip in enumerate(strips):
        cells = ((_described(segment.style), segment.cell_length) for segment in strip)
        runs = (
            f"{legend.setdefault(name, _letter(len(legend)))}{sum(length for _, length in run)}"
            for name, run in groupby(cells, key=lambda cell: cell[0])
        )
        rows.append(f"{number:>2} {' '.join(runs)}")
    meanings = [f"{letter} = {name}" for name, letter in legend.items()]
    return "\n".join((f"theme {app.theme}", *texts, "", *rows, "", *meanings, ""))


def _letter(number: int) -> str:
    return _LETTERS[number] if number < len(_LETTERS) else f"<{number}>"


def _described(style: Style | None) -> str:
    return " ".join(_words(style or Style())) or "plain"


def _words(style: Style) -> Iterator[str]:
    if style.color is not None:
        yield style.color.name
    if style.bgcolor is not None:
        yield f"on {style.bgcolor.name}"
    yield from (name for name in _ATTRIBUTES if getattr(style, name))
