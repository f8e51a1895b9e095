"""A dialog to find one thing among many by typing: palette, themes, languages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.widgets import Input

from console.screens.dialog import Dialog
from console.widgets.line_table import Cell, Column, LineTable, Row
from console.widgets.plain_fields import PlainInput

_TITLE_WIDTH, _SIDE_WIDTH = 28, 14
"""Of titles at most, and of both where nothing is known yet."""
_NONE, _ASKING = ("nothing of that name",), ("asking the engine …",)


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to pick. ``side`` is a short text at the right: a key, a state."""

    key: str
    title: str
    about: str = ""
    side: str = ""
    role: str = ""

    @property
    def text(self) -> str:
        """All that it can be found by."""
        return f"{self.title} {self.about} {self.side}".lower()


class PickerDialog(Dialog[str]):
    """Answers the key of the choice, or None. ``preview`` is called for each choice that the cursor comes to."""

    AUTO_FOCUS = "Input"
    hint = "type to find, enter picks, esc closes"

    def __init__(
        self,
        heading: str,
        choices: Sequence[Choice],
        *,
        at: str | None = None,
        preview: Callable[[str], None] | None = None,
        later: Callable[[], Awaitable[Sequence[Choice]]] | None = None,
    ) -> None:
        """``later`` gives the choices that the engine has still to name, in place of ``choices``."""
        super().__init__()
        self.heading = heading
        self.choices = tuple(choices)
        self._at = at
        self._preview = preview
        self._later = later

    def compose_body(self) -> ComposeResult:
        title_width = max((len(choice.title) for choice in self.choices), default=_TITLE_WIDTH)
        side_width = max((len(choice.side) for choice in self.choices), default=_SIDE_WIDTH) or 1
        yield PlainInput(placeholder="find", compact=True)
        yield LineTable(
            (Column("", min(_TITLE_WIDTH, title_width)), Column("", 0, priority=1), Column("", side_width, right=True)),
            empty=_NONE if self._later is None else _ASKING,
            header=False,
            active=True,
            sortable=False,
        )

    def on_mount(self) -> None:
        if self._later is None:
            self._show_all()
        else:
            self.run_worker(self._fill(self._later), exit_on_error=False)

    async def _fill(self, later: Callable[[], Awaitable[Sequence[Choice]]]) -> None:
        self.choices = tuple(await later())
        self.query_one(LineTable).set_empty(_NONE)
        self._show_all()

    def _show_all(self) -> None:
        self.show_choices(self.choices)
        if self._at is not None:
            self.query_one(LineTable).move_cursor(self._at)

    def show_choices(self, choices: Sequence[Choice]) -> None:
        self.query_one(LineTable).set_rows(
            [
                Row(
                    choice.key,
                    (Cell(choice.title, choice.role), Cell(choice.about, "muted"), Cell(choice.side, "accent")),
                )
                for choice in choices
            ]
        )

    def on_input_changed(self, event: Input.Changed) -> None:
        self.look_for(event.value)

    def look_for(self, text: str) -> None:
        self.query_one(LineTable).filter = text

    def on_input_submitted(self) -> None:
        if (key := self.query_one(LineTable).cursor) is not None:
            self.dismiss(key)

    def on_key(self, event: events.Key) -> None:
        moves = {"up": "cursor_up", "down": "cursor_down", "pageup": "page_up", "pagedown": "page_down"}
        table = self.query_one(LineTable)
        if event.key in moves and not table.has_focus:
            event.stop()
            getattr(table, f"action_{moves[event.key]}")()
        elif event.key == "enter" and table.has_focus:
            event.stop()  # or the screen below would answer it too
            self.on_input_submitted()

    def on_line_table_highlighted(self, event: LineTable.Highlighted) -> None:
        if self._preview is not None and event.key is not None:
            self._preview(event.key)

    def on_line_table_chosen(self, event: LineTable.Chosen) -> None:
        self.dismiss(event.key)
