"""Shows an ``OutputLog``: wrapped to the width, error output told apart by a word in the margin, following the end.

It draws only when told (``flush``), which its owner does a few times a second: a line at a time would cost hundreds
of kilobytes a second on the wire.
"""

from __future__ import annotations

from collections import deque
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from console.actions import OUTPUT, bindings
from console.output_log import Line, OutputLog
from console.plain import plain
from console.wrap import chopped

_MARGINS = {"stderr": "err│ ", "note": "!! "}
_PLAIN_MARGIN = " "


class _Row(NamedTuple):
    line: int
    stream: str
    margin: str
    text: str


class OutputView(ScrollView, can_focus=True):
    BINDINGS: ClassVar = bindings(OUTPUT)
    COMPONENT_CLASSES: ClassVar = {
        "output-view--stderr",
        "output-view--note",
        "output-view--hint",
        "output-view--badge",
    }

    def __init__(self, log: OutputLog, *, hint: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self._log = log
        self._hint = hint
        self._rows: deque[_Row] = deque()
        self._shown_version = -1
        self._shown_last = -1
        self.following = True

    @property
    def text(self) -> str:
        """What is shown, as plain text."""
        return "\n".join(row.margin + row.text for row in self._rows)

    def show(self, log: OutputLog, hint: str | None = None) -> None:
        """Show another log from its beginning."""
        self._log = log
        self._hint = self._hint if hint is None else hint
        self.following = True
        self._rebuild()

    def say(self, hint: str) -> None:
        """What to show while there is no output."""
        if hint != self._hint:
            self._hint = hint
            if not self._rows:
                self.refresh()

    def flush(self) -> None:
        """Draw what came since the last flush; does nothing when nothing came."""
        if self._log.version == self._shown_version:
            return
        first = self._log.lines[0].number if self._log.lines else 0
        last_number = self._shown_last
        if first > last_number:
            self._rebuild()
            return
        dropped = 0
        while self._rows and self._rows[0].line < first:
            self._rows.popleft()
            dropped += 1
        while self._rows and self._rows[-1].line >= last_number:
            self._rows.pop()
        self._append([line for line in self._log.lines if line.number >= last_number])
        self._drawn(dropped)

    def _rebuild(self) -> None:
        self._rows.clear()
        self._append(list(self._log.lines))
        self._drawn(0)

    def _append(self, lines: list[Line]) -> None:
        for line in lines:
            margin = _MARGINS.get(line.stream, _PLAIN_MARGIN)
            room = max(8, self.scrollable_content_region.width - len(margin))
            self._rows.extend(_Row(line.number, line.stream, margin, part) for part in chopped(plain(line.text), room))
        if self._log.lines:
            self._shown_last = self._log.lines[-1].number

    def _drawn(self, dropped: int) -> None:
        self._shown_version = self._log.version
        self.virtual_size = Size(self.size.width, len(self._rows) + bool(self._log.dropped))
        if self.following:
            self.scroll_to(y=self.max_scroll_y, animate=False, force=True)
        elif dropped:
            self.scroll_to(y=max(0, self.scroll_offset.y - dropped), animate=False, force=True)
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        self._rebuild()

    # --- moving about

    def _scroll(self, by: int) -> None:
        self.scroll_to(y=max(0, min(self.max_scroll_y, self.scroll_offset.y + by)), animate=False, force=True)
        self.following = self.scroll_offset.y >= self.max_scroll_y
        self.refresh()

    def action_scroll_up(self) -> None:
        self._scroll(-1)

    def action_scroll_down(self) -> None:
        self._scroll(1)

    def action_page_up(self) -> None:
        self._scroll(-max(1, self.size.height - 1))

    def action_page_down(self) -> None:
        self._scroll(max(1, self.size.height - 1))

    def action_first(self) -> None:
        self._scroll(-len(self._rows) - 1)

    def action_follow(self) -> None:
        self._scroll(len(self._rows) + 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        event.prevent_default()
        self._scroll(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        event.prevent_default()
        self._scroll(3)

    # --- painting

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        below = len(self._rows) + bool(self._log.dropped) - self.scroll_offset.y - self.size.height
        if not self.following and below > 0 and y == self.size.height - 1:
            badge = f" + {below} lines below, G follows "
            return Strip([Segment(badge, self._style("badge"))]).adjust_cell_length(width, self.rich_style)
        index = y + self.scroll_offset.y
        if self._log.dropped:
            if index == 0:
                note = f"── {self._log.dropped:,} earlier lines are not kept here"
                return Strip([Segment(note, self._style("note"))]).adjust_cell_length(width, self.rich_style)
            index -= 1
        if not self._rows and y == 0 and self._hint:
            return Strip([Segment(f" {self._hint}", self._style("hint"))]).adjust_cell_length(width, self.rich_style)
        if index >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        row = self._rows[index]
        style = self._style(row.stream) if row.stream in _MARGINS else self.rich_style
        return Strip([Segment(row.margin + row.text, style)]).adjust_cell_length(width, self.rich_style)

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"output-view--{name}")
