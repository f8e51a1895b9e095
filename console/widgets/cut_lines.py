"""A few lines, each cut with a sign where it is longer than the room."""

from __future__ import annotations

from textual.content import Content

from console.widgets.text_lines import TextLines


class CutLines(TextLines):
    def __init__(self, lines: tuple[Content, ...] = (), *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines = lines

    def show(self, *lines: Content) -> None:
        """Show these lines; paints only where they differ from those shown."""
        self.draw(lines)
