"""The field over the list of past runs. enter keeps what is typed, esc drops it."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from console.run_filter_syntax import SYNTAX
from console.widgets.plain_fields import PlainInput


class RunFilterField(PlainInput):
    """Not there until ``open``ed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "drop", show=False)]

    class Edited(Message):
        """Another character."""

    class Left(Message):
        """The operator is done with it."""

    def __init__(self) -> None:
        super().__init__(placeholder=SYNTAX, compact=True, select_on_focus=False)
        self.display = False

    def open(self) -> None:
        self.display = True
        self.focus()

    def watch_value(self, value: str) -> None:
        self.post_message(self.Edited())

    async def action_submit(self) -> None:
        self.post_message(self.Left())

    def action_drop(self) -> None:
        self.value = ""
        self.post_message(self.Left())
