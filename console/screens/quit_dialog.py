"""The question before the console is left while something ends with it."""

from __future__ import annotations

from console.screens.confirm import ConfirmDialog


class QuitDialog(ConfirmDialog):
    """The one question that the key which leaves the console answers with yes."""

    def __init__(self, ends: str) -> None:
        super().__init__("Quit?", ends, yes="Quit")
