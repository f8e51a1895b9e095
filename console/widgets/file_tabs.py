"""The files of a buffer in one row, the one in the editor marked. A click shows another."""

from __future__ import annotations

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from console.plain import CUT_SIGN, brief

_MAX_NAME = 32
_GAP = 1


class FileTabs(Widget):
    """Not there while there is one file only. Names may be untrusted."""

    class Chosen(Message):
        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self) -> None:
        super().__init__()
        self._names: tuple[str, ...] = ()
        self._at = 0

    def show(self, names: list[str], at: int) -> None:
        shown = tuple(f" {brief(name, _MAX_NAME)} " for name in names)
        if (shown, at) != (self._names, self._at):
            self._names = shown
            self._at = at
            self.display = len(names) > 1
            self.refresh()

    def _visible(self) -> tuple[int, int]:
        """(first, one after the last) of the tabs that fit around the marked one."""
        room = self.size.width - 2 * (cell_len(CUT_SIGN) + _GAP)
        first, last = self._at, self._at + 1
        while True:
            before = first - 1 if first else None
            after = last if last < len(self._names) else None
            for index in (after, before):
                if index is not None and self._width(min(first, index), max(last, index + 1)) <= room:
                    first, last = min(first, index), max(last, index + 1)
                    break
            else:
                return first, last

    def _width(self, first: int, last: int) -> int:
        return sum(cell_len(name) + _GAP for name in self._names[first:last])

    def render(self) -> Content:
        first, last = self._visible()
        parts: list[str | tuple[str, str]] = [(f"{CUT_SIGN} " if first else "", "$muted")]
        for index in range(first, last):
            parts += [(self._names[index], "bold reverse $primary" if index == self._at else "$foreground"), " " * _GAP]
        parts.append((CUT_SIGN if last < len(self._names) else "", "$muted"))
        return Content.assemble(*parts)

    def on_click(self, event: events.Click) -> None:
        first, last = self._visible()
        x = 2 if first else 0
        for index in range(first, last):
            x += cell_len(self._names[index]) + _GAP
            if event.x < x:
                self.post_message(self.Chosen(index))
                return
