"""The palette: every action by its name, the last used first, and jumps to areas: ``vms py`` filters the list there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from console.actions import Action
from console.modes import MODES, Mode
from console.screens.picker import Choice, PickerDialog
from console.widgets.line_table import LineTable


@dataclass(frozen=True, slots=True)
class Jump:
    """To an area; with ``words``, its list filtered by them."""

    mode: Mode
    words: str

    @property
    def choice(self) -> Choice:
        about = f"Go there and show only: {self.words}" if self.words else self.mode.about
        return Choice("", self.mode.title, about, "jump")


class PaletteDialog(PickerDialog):
    """Answers an action's key, or with ``jump`` set, "". Text is looked for in names and explanations."""

    hint = "type to find, or an area and words to filter by; enter does it"

    def __init__(self, offered: Sequence[tuple[str, Action]]) -> None:
        super().__init__("Palette", [Choice(key, action.title, action.about, action.key) for key, action in offered])
        self.jump: Jump | None = None

    def look_for(self, text: str) -> None:
        self.jump = jump(text)
        words = text.lower().split()
        found = [choice for choice in self.choices if all(word in choice.text for word in words)]
        self.show_choices([*([self.jump.choice] if self.jump else []), *found])
        self.query_one(LineTable).action_first()


def jump(text: str) -> Jump | None:
    """What ``vms py`` means: an area by its name or how it begins, where only one begins so, and words for its list."""
    name, _, words = text.strip().partition(" ")
    name = name.lower()
    exact = [mode for mode in MODES if name in (mode.name, mode.short.lower())]
    begun = [mode for mode in MODES if name and mode.name.startswith(name)]
    found = exact or begun
    return Jump(found[0], words.strip()) if len(found) == 1 else None
