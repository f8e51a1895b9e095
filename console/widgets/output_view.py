"""Shows an ``OutputLog``: wrapped to the width, error output told apart by a word in the margin, following the end.

Any log can be searched: ``/`` opens a field below, ``n`` and ``N`` go from match to match.

It draws only when told (``flush``), which its owner does a few times a second: a line at a time would cost hundreds
of kilobytes a second on the wire.
"""

from __future__ import annotations

from collections import deque
from itertools import groupby
from operator import attrgetter
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Input

from console.actions import OUTPUT, bindings
from console.output_log import Line, OutputLog
from console.output_search import OutputSearch
from console.plain import plain
from console.widgets.find_bar import FindBar
from console.wrap import broken, chopped

_MARGINS = {"stderr": "err│ ", "note": "!! "}
_PLAIN_MARGIN = " "
_LOG = "log"
"""The stream of what is prose: lines of jobs."""


class _Row(NamedTuple):
    """A line, or a piece of one that begins at its character ``start``."""

    line: int
    stream: str
    margin: str
    text: str
    start: int


_line_of = attrgetter("line")


class OutputView(ScrollView, can_focus=True):
    BINDINGS: ClassVar = bindings(OUTPUT)
    COMPONENT_CLASSES: ClassVar = {
        "output-view--stderr",
        "output-view--note",
        "output-view--hint",
        "output-view--badge",
        "output-view--found",
        "output-view--found-here",
    }

    def __init__(self, log: OutputLog, *, hint: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self._log = log
        self._hint = hint
        self._rows: deque[_Row] = deque()
        self._shown_version = -1
        self._shown_last = -1
        self._search: OutputSearch | None = None
        self._bar: FindBar | None = None
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
        self._shown_last = -1
        self._append(list(self._log.lines))
        self._drawn(0)

    def _append(self, lines: list[Line]) -> None:
        shown = [(line.number, plain(line.text)) for line in lines]
        width = self.scrollable_content_region.width  # costs more to ask than a line to wrap
        for line, (number, text) in zip(lines, shown, strict=True):
            margin = _MARGINS.get(line.stream, _PLAIN_MARGIN)
            start = 0
            cut = broken if line.stream == _LOG else chopped
            for part in cut(text, max(8, width - len(margin))):
                self._rows.append(_Row(number, line.stream, margin, part, start))
                start += len(part)
        if self._search is not None:
            first = self._log.lines[0].number if self._log.lines else 0
            self._search.add(shown, kept=range(first, lines[0].number if lines else first))
        if self._log.lines:
            self._shown_last = self._log.lines[-1].number

    def _drawn(self, dropped: int) -> None:
        self._shown_version = self._log.version
        self.virtual_size = Size(self.size.width, len(self._rows) + bool(self._log.dropped))
        if self.following:
            self.scroll_to(y=self.max_scroll_y, animate=False, force=True)
        elif dropped:
            self.scroll_to(y=max(0, self.scroll_offset.y - dropped), animate=False, force=True)
        self._tell_found()
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        self._rebuild()

    def watch_show_vertical_scrollbar(self, shown: bool) -> None:
        """Textual moves the bar only while it is there; the view may have gone to the end before."""
        if shown:
            self.vertical_scrollbar.position = self.scroll_y

    # --- finding

    def action_find(self) -> None:
        if self._bar is not None:
            self._bar.query_one(Input).focus()
            return
        self._search = OutputSearch("")
        self._bar = FindBar(self)
        self.screen.mount(self._bar, after=self)

    def action_find_next(self) -> None:
        self.find_step(1)

    def action_find_previous(self) -> None:
        self.find_step(-1)

    def action_leave_find(self) -> None:
        """End the search; the view stays where it is."""
        bar, self._bar, self._search = self._bar, None, None
        if bar is not None:
            self.focus()
            bar.remove()
        self.refresh()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("find_next", "find_previous", "leave_find"):
            return self._search is not None
        return super().check_action(action, parameters)

    def find(self, text: str) -> None:
        """Search for ``text`` and go to the first match from what is shown on, or to the newest while following."""
        if self._bar is None:
            return
        self._search = OutputSearch(text)
        self._search.add((line, "".join(row.text for row in rows)) for line, rows in groupby(self._rows, _line_of))
        top = self.scroll_offset.y - bool(self._log.dropped)
        if self._rows:
            self._search.look_from(self._rows[max(0, min(top, len(self._rows) - 1))].line)
        self._show_found()

    def find_step(self, by: int) -> None:
        """Go to another match; round at the ends."""
        if self._search is not None:
            self._search.step(by)
            self._show_found()

    def _show_found(self) -> None:
        """Bring the match that is looked at into view."""
        here = self._search.here if self._search is not None else None
        if here is not None:
            index = next(
                at
                for at, row in enumerate(self._rows)
                if row.line == here.line and row.start + max(1, len(row.text)) > here.start
            )
            y, top = index + bool(self._log.dropped), self.scroll_offset.y
            if not top <= y < top + self.size.height - 1:  # the last line is the badge's
                self._scroll(y - self.size.height // 2 - top)
        self._tell_found()
        self.refresh()

    def _tell_found(self) -> None:
        if self._search is not None and self._bar is not None and self._bar.is_mounted:
            self._bar.tell(self._search.at, len(self._search.hits))

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
        return Strip([Segment(row.margin, style), *self._marked(row, style)]).adjust_cell_length(width, self.rich_style)

    def _marked(self, row: _Row, style: Style) -> list[Segment]:
        """The row's text, with what was found in it marked."""
        if self._search is None:
            return [Segment(row.text, style)]
        segments: list[Segment] = []
        at = 0
        for hit in self._search.within(row.line, row.start, row.start + len(row.text)):
            start, end = max(0, hit.start - row.start), min(len(row.text), hit.end - row.start)
            mark = self._style("found-here" if hit == self._search.here else "found")
            segments += [Segment(row.text[at:start], style), Segment(row.text[start:end], style + mark)]
            at = end
        return [*segments, Segment(row.text[at:], style)]

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"output-view--{name}")
