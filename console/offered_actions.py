"""Which actions can be done now, and who carries them out: for the palette, and for bars of keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from textual.dom import DOMNode
from textual.widget import Widget

from console.actions import EVERYWHERE, LISTS, MARKS, OUTPUT, SORTING, Action, actions
from console.widgets.line_table import LineTable
from console.widgets.output_view import OutputView

if TYPE_CHECKING:
    from console.app import ConsoleApp
    from console.screens.mode_screen import ModeScreen

_OWNERS: dict[str, type[Widget]] = {LISTS: LineTable, SORTING: LineTable, MARKS: LineTable, OUTPUT: OutputView}


def now(app: ConsoleApp, screen: ModeScreen) -> Iterator[Action]:
    """What can be done now, what is of this screen first."""
    for place in (screen.place, EVERYWHERE, *screen.list_places, OUTPUT):
        found = owner(app, place)
        if found is not None:
            judge = app if found is app else screen
            yield from (action for action in actions(place) if judge.check_action(action.name, ()))


def owner(app: ConsoleApp, place: str) -> DOMNode | None:
    """Who carries out the actions of a place, if it is on the screen."""
    kind = _OWNERS.get(place)
    if kind is None:
        return app if place == EVERYWHERE else app.screen
    focused = app.screen.focused
    return focused if isinstance(focused, kind) else next(iter(app.screen.query(kind)), None)
