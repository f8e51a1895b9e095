"""Everything known about one thing, as labelled lines; beside a table where there is room, else in a dialog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.content import Content

from console.plain import CUT_SIGN, plain_lines
from console.widgets.text_lines import TextLines
from console.wrap import wrapped


@dataclass(frozen=True, slots=True)
class Field:
    """A label and its text, which may be untrusted and of several lines."""

    label: str
    text: str
    role: str = "foreground"


@dataclass(frozen=True, slots=True)
class Detail:
    title: str
    fields: tuple[Field, ...] = ()


_LABEL_CELLS = 13
_MAX_CHARS = 4000
"""Of one field; a stranger's text may be of any length."""


class DetailPane(TextLines):
    """Shows one ``Detail``; long texts wrap under their own column."""

    DEFAULT_CSS: ClassVar[str] = "DetailPane { height: auto; }"

    def __init__(self, detail: Detail | None = None, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._detail = detail

    def show(self, detail: Detail | None) -> None:
        if detail != self._detail:
            self._detail = detail
            self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self._draw()

    def _draw(self) -> None:
        lines: list[Content] = []
        for field in self._detail.fields if self._detail else ():
            label = f"{field.label:<{_LABEL_CELLS}}"
            for line in self._wrapped(field.text):
                lines.append(Content.assemble((label, "$muted"), (line, f"${field.role}")))
                label = " " * _LABEL_CELLS
        self.draw(lines)

    def _wrapped(self, text: str) -> list[str]:
        room = max(16, self.size.width - _LABEL_CELLS)
        shown = text if len(text) <= _MAX_CHARS else text[:_MAX_CHARS] + CUT_SIGN
        return [part for line in plain_lines(shown) for part in wrapped(line, room)] if text else []
