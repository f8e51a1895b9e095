"""The keys of the screen below, read from the action registry."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from console.actions import actions
from console.screens.dialog import Dialog

_KEYS_CELLS = 12
_UNRANKED = 99


class HelpDialog(Dialog[None]):
    """``sections`` are (heading, place in the registry)."""

    AUTO_FOCUS = "VerticalScroll"
    heading = "Keys"

    def __init__(self, sections: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._sections = tuple(sections)

    def compose_body(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(self._content())

    def _content(self) -> Content:
        lines: list[Content] = []
        for heading, place in self._sections:
            if lines:
                lines.append(Content(""))
            lines.append(Content.styled(heading, "bold $primary"))
            lines += [
                Content.assemble(
                    (f"  {action.all_keys:<{_KEYS_CELLS}}", "$accent"), f"{action.title:<12}", (action.about, "$muted")
                )
                for action in sorted(actions(place), key=lambda action: action.rank or _UNRANKED)
            ]
        return Content("\n").join(lines)
