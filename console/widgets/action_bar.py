"""The last row: the main keys of the screen, read from the action registry. A click does the same as the key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual import events
from textual.content import Content
from textual.widget import Widget

from console.actions import Action

if TYPE_CHECKING:
    from console.app import ConsoleApp

_MARGIN, _GAP = 1, 2
_KEPT_TO_THE_LAST = 2
"""Entries at the end, help and quit, that give way only after all others."""


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str
    action: Action
    enabled: bool

    @property
    def width(self) -> int:
        return len(self.key) + 1 + len(self.action.title)


class ActionBar(Widget):
    """Shows as many actions as fit, by their rank; one that can't be done now is dim, and gives way first."""

    app: ConsoleApp

    def __init__(self) -> None:
        super().__init__()
        self._entries: list[_Entry] = []

    def show(self, actions: Sequence[tuple[Action, bool]], *, typing: bool) -> None:
        """``actions`` are (action, whether it can be done now); while typing, only keys count that fields leave."""
        keyed = [(action.key_while_typing if typing else action.key, action, enabled) for action, enabled in actions]
        entries = [_Entry(key, action, enabled) for key, action, enabled in keyed if key]
        if entries != self._entries:
            self._entries = entries
            self.refresh()

    def _fitting(self) -> list[_Entry]:
        kept = list(self._entries)
        room = self.size.width - _MARGIN + _GAP  # the last needs no gap
        while len(kept) > _KEPT_TO_THE_LAST and sum(entry.width + _GAP for entry in kept) > room:
            others = kept[:-_KEPT_TO_THE_LAST]
            kept.remove(next((entry for entry in reversed(others) if not entry.enabled), others[-1]))
        return kept

    def render(self) -> Content:
        parts: list[Content | str | tuple[str, str]] = [" " * _MARGIN]
        for entry in self._fitting():
            parts += [
                (entry.key, "bold $primary" if entry.enabled else "$muted"),
                (f" {entry.action.title}", "$foreground" if entry.enabled else "$muted"),
                " " * _GAP,
            ]
        return Content.assemble(*parts)

    def on_click(self, event: events.Click) -> None:
        x = _MARGIN
        for entry in self._fitting():
            if entry.enabled and x <= event.x < x + entry.width:
                self.app.perform(entry.action)
                return
            x += entry.width + _GAP
