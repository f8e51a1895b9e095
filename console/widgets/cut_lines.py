"""A few lines, each cut with a sign where it is longer than the room."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget


class CutLines(Widget):
    def __init__(self, lines: tuple[Content, ...] = (), *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines = lines

    def show(self, *lines: Content) -> None:
        """Show these lines; paints only where they differ from those shown."""
        if [line.markup for line in lines] != [line.markup for line in self._lines]:
            self._lines = lines
            self.refresh()

    def render(self) -> Content:
        return Content("\n").join(line.truncate(self.size.width - 1, ellipsis=True) for line in self._lines)
