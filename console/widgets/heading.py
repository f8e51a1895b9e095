"""A line between parts of a screen: a title, a rule, and a note at its right end."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from console.plain import brief


class Heading(Widget):
    """One row. Title and note may be untrusted; ``role`` colours the note."""

    title: reactive[str] = reactive("")
    note: reactive[str] = reactive("")
    role: reactive[str] = reactive("muted")

    def __init__(self, title: str = "", note: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.set_reactive(Heading.title, title)
        self.set_reactive(Heading.note, note)

    def show(self, note: str, role: str = "muted") -> None:
        self.role = role
        self.note = note

    def render(self) -> Content:
        width = self.size.width
        title = Content.styled(f" {brief(self.title)} ", "bold $primary") if self.title else Content("")
        left = Content.assemble(("─", "$rule"), title)
        note = Content.styled(f" {brief(self.note)} ", f"${self.role}") if self.note else Content("")
        room = width - left.cell_length - 2
        if note.cell_length > room:
            note = note.truncate(max(0, room), ellipsis=True)
        fill = max(0, width - left.cell_length - note.cell_length - 1)
        return Content.assemble(left, ("─" * fill, "$rule"), note, ("─", "$rule"))
