"""Parts of a screen that are shown one at a time, with a row of tabs, or side by side where there is room for all."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from console.widgets.heading import Heading

CURRENT = "-current"
HERE = "▸ "


class Section(Vertical):
    """One part under its own title; the title of the current one has a sign."""

    def __init__(self, title: str, *children: Widget, id: str) -> None:
        super().__init__(Heading(title), *children, id=id, classes="section")
        self.title = title

    @property
    def heading(self) -> Heading:
        return self.query_one(Heading)

    def make_current(self, current: bool) -> None:
        self.set_class(current, CURRENT)
        self.heading.title = f"{HERE}{self.title}" if current else self.title

    def take_focus(self) -> None:
        """Give the keys to the first widget in it that takes any."""
        for widget in self.query("*"):
            if widget.focusable:
                widget.focus()
                return


class SectionTabs(Widget):
    """One row with the titles; a click goes there."""

    current: reactive[int] = reactive(0)

    class Picked(Message):
        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, titles: Sequence[str]) -> None:
        super().__init__()
        self._titles = [f" {title} " for title in titles]

    def render(self) -> Content:
        return Content.assemble(
            " ",
            *(
                (title, "bold reverse $primary" if at == self.current else "$foreground")
                for at, title in enumerate(self._titles)
            ),
        ).truncate(self.size.width, ellipsis=True)

    def on_click(self, event: events.Click) -> None:
        x = 1
        for index, title in enumerate(self._titles):
            x += len(title)
            if event.x < x:
                self.post_message(self.Picked(index))
                return
