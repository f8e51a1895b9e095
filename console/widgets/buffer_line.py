"""The row over the editor: language and its state, which buffer this is, and what its request says besides code."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from console.plain import brief
from engine.models import Language

_KEY = "^t"


class BufferLine(Widget):
    """A click on the language asks for another, one on the rest for the form."""

    class LanguageWanted(Message):
        pass

    class FormWanted(Message):
        pass

    def __init__(self) -> None:
        super().__init__()
        self._left = Content("")
        self._right = Content("")

    def show(self, language: Language | None, named: str, place: tuple[int, int], says: list[str]) -> None:
        """``named`` is the language's id where the engine does not know it; ``place`` is (number, of how many)."""
        if language is None:
            left = Content.assemble((f" {brief(named) or 'no language yet'}", "$muted"), (f"  {_KEY}", "bold"))
        else:
            state = "warm" if language.warm else "cold start" if language.ready else "not set up"
            left = Content.assemble(
                (f" {brief(language.title)}", "bold $primary"), (f"  {_KEY}", "bold"), (f"  {state}", "$muted")
            )
        number, of = place
        buffers = f"buffer {number} of {of}" if of > 1 else ""
        right = Content.assemble(("  ".join(says), "$accent"), ("  " if says else "", ""), (buffers, "$muted"), " ")
        if (left.markup, right.markup) != (self._left.markup, self._right.markup):
            self._left, self._right = left, right
            self.refresh()

    def render(self) -> Content:
        room = self.size.width - self._left.cell_length - 1
        right = self._right.truncate(max(0, room), ellipsis=True)
        fill = max(1, self.size.width - self._left.cell_length - right.cell_length)
        return Content.assemble(self._left, " " * fill, right)

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.LanguageWanted() if event.x < self._left.cell_length else self.FormWanted())
