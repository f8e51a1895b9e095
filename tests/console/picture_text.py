"""The screen as text: what stands where, then which style each cell has. Small, and a reviewer can read its diff."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from string import ascii_letters, digits
from typing import Any

from rich.style import Style
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual.app import App
from textual.pilot import Pilot

DEFAULT, OTHER = "vmdeck-dark", "vmdeck-light"
_ATTRIBUTES = ("bold", "dim", "italic", "underline", "reverse", "strike", "blink")
_LETTERS = ascii_letters + digits


class ScreenText(SingleFileSnapshotExtension):
    """One ``.txt`` file per screen."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"

    def serialize(self, data: Any, **_: Any) -> str:
        return str(data)


async def picture(pilot: Pilot[Any]) -> str:
    """Lines of text between bars; then per line runs of cells with one style, and what the styles' letters mean: in
    the default theme and in the light one side by side, or in the theme that the test chose."""
    app = pilot.app
    shown = {app.theme: _cells(app)}
    if app.theme == DEFAULT:
        app.theme = OTHER
        await pilot.pause()
        await pilot.pause()
        shown[OTHER] = _cells(app)
    legend: dict[str, str] = {}
    texts, *others = ([f"|{line}|" for line, _ in lines] for lines in shown.values())
    for other in others:  # a screen that names the theme
        texts += [f"{OTHER} {number:>2} {line}" for number, line in enumerate(other) if line != texts[number]]
    rows: list[str] = []
    for number, styles in enumerate(zip(*([styles for _, styles in lines] for lines in shown.values()), strict=True)):
        runs = groupby(" | ".join(cell) for cell in zip(*styles, strict=True))
        words = (f"{legend.setdefault(name, _letter(len(legend)))}{sum(1 for _ in run)}" for name, run in runs)
        rows.append(f"{number:>2} {' '.join(words)}")
    meanings = [f"{letter} = {name}" for name, letter in legend.items()]
    return "\n".join((" | ".join(shown), *texts, "", *rows, "", *meanings, ""))


def _cells(app: App[Any]) -> list[tuple[str, list[str]]]:
    """Per line its text, and the style of each of its cells."""
    return [
        (strip.text, [name for segment in strip for name in [_described(segment.style)] * segment.cell_length])
        for strip in app.screen._compositor.render_strips()
    ]


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
