"""Lines of a unified diff: their sign tells what they are, a colour helps. Long lines are cut with a sign."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual import events
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.plain import CUT_SIGN, plain

_ROLES = {"+": "added", "-": "removed", "@": "place", "\\": "place"}
_MAX_CHARS = 2000


class DiffView(ScrollView, can_focus=True):
    """The lines may be untrusted."""

    COMPONENT_CLASSES: ClassVar = {"diff-view--added", "diff-view--removed", "diff-view--place"}

    def __init__(self) -> None:
        super().__init__()
        self._lines: tuple[str, ...] = ()

    def show(self, lines: list[str]) -> None:
        self._lines = tuple(plain(line[:_MAX_CHARS]) for line in lines)
        self._resize()
        self.refresh()

    @property
    def text(self) -> str:
        return "\n".join(self._lines)

    def on_resize(self, event: events.Resize) -> None:
        self._resize()

    def _resize(self) -> None:
        self.virtual_size = Size(self.size.width, len(self._lines))

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        index = y + self.scroll_offset.y
        if index >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        line = self._lines[index]
        role = _ROLES.get(line[:1])
        style = self.get_component_rich_style(f"diff-view--{role}") if role else self.rich_style
        shown = line if cell_len(line) < width else set_cell_size(line, max(0, width - 2)) + CUT_SIGN
        return Strip([Segment(f" {shown}", style)]).adjust_cell_length(width, self.rich_style)
