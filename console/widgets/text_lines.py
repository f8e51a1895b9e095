"""Lines of text of which only those that changed are painted again; each is cut with a sign where room is short."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.geometry import Region, Size
from textual.widget import Widget


class TextLines(Widget):
    """Base of what is drawn as lines. With a height of ``auto`` it is as high as they are many."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: tuple[Content, ...] = ()

    def draw(self, lines: Sequence[Content]) -> None:
        """Show these lines; paints only where they differ from those shown."""
        before, self._lines = self._lines, tuple(lines)
        if len(before) != len(lines):
            self.refresh(layout=self.styles.auto_dimensions)
            return
        for y, (old, new) in enumerate(zip(before, lines, strict=True)):
            if not new.is_same(old):
                self.refresh(Region(0, y, self.size.width, 1))

    @property
    def text(self) -> str:
        """What is shown, uncut."""
        return "\n".join(line.plain.rstrip() for line in self._lines)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many as there are lines. Textual would wrap them all to find that out, which takes seconds where a
        stranger's text makes a thousand."""
        return len(self._lines)

    def render(self) -> Content:
        return Content("\n").join(line.truncate(self.size.width, ellipsis=True) for line in self._lines)
