"""An area that is a live list: a table, a filter, and the detail of the row under the cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll

from console.rights import REFUSED, REFUSED_WORDS
from console.screens.detail import DetailDialog
from console.screens.mode_screen import ModeScreen
from console.widgets.detail_pane import Detail, DetailPane
from console.widgets.filter_field import FilterField
from console.widgets.heading import Heading
from console.widgets.line_table import Column, LineTable, Row
from engine.api import EngineApi

Item = TypeVar("Item")


class ListScreen(ModeScreen, Generic[Item]):
    """Subclasses give ``HEADING``, ``COLUMNS``, ``EMPTY`` and the methods that say what an item is.

    Cursor, filter, order and marks stay as they are while the list changes under them. ``MARKABLE`` where an action
    of the screen is for all of ``targets``.
    """

    HEADING: ClassVar[str]
    COLUMNS: ClassVar[Sequence[Column]]
    EMPTY: ClassVar[Sequence[str]] = ("nothing here",)
    NEEDS_ROW: ClassVar[frozenset[str]] = frozenset(("detail",))
    MARKABLE: ClassVar[bool] = False
    AUTO_FOCUS = "LineTable"

    def __init__(self) -> None:
        super().__init__()
        self._items: dict[str, Item] = {}
        self._wanted: str | None = None

    async def fetch(self, api: EngineApi) -> Sequence[Item]:
        raise NotImplementedError

    def key_of(self, item: Item) -> str:
        raise NotImplementedError

    def row_of(self, item: Item) -> Row:
        raise NotImplementedError

    def detail_of(self, item: Item) -> Detail:
        raise NotImplementedError

    def note_of(self, items: Sequence[Item]) -> str:
        """What the heading says about the whole list."""
        raise NotImplementedError

    # --- frame

    def compose_body(self) -> ComposeResult:
        yield Heading(self.HEADING, id="list-heading")
        yield FilterField()
        with Horizontal(id="list-body"):
            yield LineTable(self.COLUMNS, empty=("…",))
            with VerticalScroll(id="side", can_focus=False):
                yield DetailPane()

    def on_mount(self) -> None:
        self.table.markable = self.MARKABLE

    @property
    def table(self) -> LineTable:
        return self.query_one(LineTable)

    @property
    def current(self) -> Item | None:
        """The item under the cursor."""
        return self._items.get(self.table.cursor or "")

    @property
    def targets(self) -> list[Item]:
        """What an action is for: the marked items, else the one under the cursor. What the filter hides is left
        alone, marked or not."""
        shown = set(self.table.keys)
        marked = [self._items[key] for key in self.table.marked if key in shown]
        return marked or [item for item in (self.current,) if item is not None]

    # --- data

    async def poll(self, api: EngineApi) -> None:
        self.show_items(await self.fetch(api))

    def show_items(self, items: Sequence[Item]) -> None:
        self._items = {self.key_of(item): item for item in items}
        self.table.set_empty(self.empty_words())
        self.table.set_rows([self.row_of(item) for item in items])
        if self._wanted in self._items:
            if self._wanted not in self.table.keys:
                self.table.filter = ""  # the operator was led to this row, so it must be seen
            self.table.move_cursor(self._wanted)
            self._wanted = None
        self.show_note()
        self.show_detail()
        self.update_actions()

    def empty_words(self) -> Sequence[str]:
        """What to say where no row is to be shown."""
        return REFUSED_WORDS if self.refused else self.EMPTY

    def show_refused(self) -> None:
        self.show_items([])

    def select(self, key: str) -> None:
        """Put the cursor on a row as soon as it is in the list."""
        self._wanted = key
        self.poll_now()

    def show_note(self) -> None:
        heading = self.query_one("#list-heading", Heading)
        if self.refused:
            heading.show(REFUSED)
            return
        table = self.table
        whole = "" if table.filter else self.note_of(list(self._items.values()))
        note = ", ".join(part for part in (whole, table.note) if part)
        heading.show(note, "accent" if table.note else "muted")

    def show_detail(self) -> None:
        item = self.current
        self.query_one(DetailPane).show(None if item is None else self.detail_of(item))

    def on_line_table_highlighted(self, event: LineTable.Highlighted) -> None:
        self.show_note()
        self.show_detail()
        self.update_actions()

    def on_line_table_chosen(self, event: LineTable.Chosen) -> None:
        self.action_detail()

    def action_detail(self) -> None:
        if (item := self.current) is not None:
            self.app.push_screen(DetailDialog(self.detail_of(item)))

    # --- what can be done now

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        allowed = super().check_action(action, parameters)
        if allowed and action in self.NEEDS_ROW and self.is_mounted and self.current is None:
            return None
        return allowed
