"""How a state is shown: by a sign and a word, which carry the meaning, and a role of the theme, which only colours."""

from __future__ import annotations

from dataclasses import dataclass

from console.widgets.rows import Cell

_OF_CELLS = {"success": "ok", "foreground": ""}


@dataclass(frozen=True, slots=True)
class Look:
    sign: str
    word: str
    role: str

    @property
    def text(self) -> str:
        return f"{self.sign} {self.word}"

    @property
    def cell(self) -> Cell:
        return Cell(self.text, cell_role(self.role))


def cell_role(role: str) -> str:
    """What tables call a role of the theme."""
    return _OF_CELLS.get(role, role)
