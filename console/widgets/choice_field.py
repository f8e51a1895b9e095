"""A field whose value is picked from a list, not typed: one row that has the keys and says what is picked."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from console.plain import brief

_KEYS = ("enter", "space")
_OPENS = "▾"


class ChoiceField(Widget, can_focus=True):
    """Shows ``value``, or the placeholder while there is none. enter, space or a click ask for the list."""

    value: reactive[str] = reactive("")

    class Wanted(Message):
        def __init__(self, field: ChoiceField) -> None:
            super().__init__()
            self.field = field

    def __init__(self, value: str, placeholder: str) -> None:
        super().__init__()
        self._placeholder = placeholder
        self.set_reactive(ChoiceField.value, value)

    def render(self) -> Content:
        room = max(0, self.size.width - 2)
        text = Content(brief(self.value)) if self.value else Content.styled(self._placeholder, "$muted")
        shown = text.truncate(room, ellipsis=True)
        return Content.assemble(shown, " " * (room - shown.cell_length), f" {_OPENS}")

    def on_key(self, event: events.Key) -> None:
        if event.key in _KEYS:
            event.stop()
            self.post_message(self.Wanted(self))

    def on_click(self) -> None:
        self.post_message(self.Wanted(self))
