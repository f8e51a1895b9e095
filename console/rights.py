"""What the one at the console may do: as they asked for it, and as the engine takes them.

A viewer, whom the engine knows by no token, may look and run code; what changes the host, and what tells of others'
code, is the operator's only. Who asked for read-only mode runs nothing either, yet may look at everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from console.actions import Action

REFUSED = "the operator's only"
REFUSED_WORDS = (f"This is {REFUSED}.", "It is shown to who sends the engine's token: set one there, and give it here.")


@dataclass(frozen=True, slots=True)
class Rights:
    read_only: bool = False
    viewer: bool = False

    @property
    def may_run(self) -> bool:
        return not self.read_only

    @property
    def may_change(self) -> bool:
        return not (self.read_only or self.viewer)

    @property
    def word(self) -> str:
        """For the status line; empty where everything is allowed."""
        return "read-only" if self.read_only else "viewer" if self.viewer else ""

    def allow(self, action: Action) -> bool:
        if action.runs and not self.may_run:
            return False
        if action.changes and not self.may_change:
            return False
        return not (action.private and self.viewer)
