"""The row under an output in which one types what to find in it. enter goes back to the output, esc ends the search."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Label, Static

from console.widgets.plain_fields import PlainInput

if TYPE_CHECKING:
    from console.widgets.output_view import OutputView


class FindBar(Horizontal):
    """Belongs to one ``OutputView``, which puts it below itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("down", "step(1)", show=False),
        Binding("up", "step(-1)", show=False),
    ]

    def __init__(self, view: OutputView, text: str = "") -> None:
        super().__init__()
        self._view = view
        self._text = text

    def compose(self) -> ComposeResult:
        yield Label(Content("find"), classes="label")
        yield PlainInput(self._text, compact=True, placeholder="text in the output")
        yield Static(classes="found")

    def on_mount(self) -> None:
        self.query_one(PlainInput).focus()

    def tell(self, at: int | None, count: int) -> None:
        """The operator looks at match ``at`` (from 0) of ``count``."""
        if not self.query_one(Input).value:
            note = Content("")
        elif not count:
            note = Content.styled("not found", "$warning")
        else:
            note = Content.styled(f"{'-' if at is None else at + 1} of {count}", "$muted")
        self.query_one(".found", Static).update(note)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._view.find(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._view.focus()

    def action_leave(self) -> None:
        self._view.action_leave_find()

    def action_step(self, by: int) -> None:
        self._view.find_step(by)
