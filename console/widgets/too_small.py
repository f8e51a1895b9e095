"""The card that covers a screen in a terminal too small for it; style rules show it by the breakpoints."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

NEEDED_COLUMNS = 60
NEEDED_ROWS = 16


class TooSmall(Widget):
    def render(self) -> Content:
        size = self.app.size
        return Content(
            f"vmdeck needs {NEEDED_COLUMNS} x {NEEDED_ROWS}\n"
            f"here: {size.width} x {size.height}\n"
            "Make the terminal larger."
        )
