"""A field whose value is picked from a list, not typed: one row that has the keys and says what is picked."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from console.plain import brief

_KEYS = ("enter", "space")


class PickField(Widget, can_focus=True):
    """Shows ``value``, or the hint while there is none. enter, space or a click ask for the list."""

    value: reactive[str] = reactive("")

    class Wanted(Message):
        def __init__(self, field: PickField) -> None:
            super().__init__()
            self.field = field

    def __init__(self, hint: str, *, name: str) -> None:
        super().__init__(name=name)
        self._hint = hint

    def render(self) -> Content:
        shown = Content.styled(brief(self.value), "") if self.value else Content.styled(self._hint, "$muted")
        return Content.assemble(shown.truncate(max(1, self.size.width - 8), ellipsis=True), ("  enter", "$muted"))

    def on_key(self, event: events.Key) -> None:
        if event.key in _KEYS:
            event.stop()
            self.post_message(self.Wanted(self))

    def on_click(self) -> None:
        self.post_message(self.Wanted(self))
