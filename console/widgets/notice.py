"""What lasts, under the status line: a failure and what to do, or what is waited for. Not there while all is well."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from console.failure import Failure
from console.plain import brief

_MOST = 230
"""Characters of each text, so that both fit three lines of a narrow terminal."""


class Notice(Static):
    def __init__(self) -> None:
        super().__init__()
        self.display = False
        self._failure: Failure | None = None
        self._words = ""

    def say(self, words: str) -> None:
        """Show what is waited for; "" is nothing."""
        if self._failure is None and words == self._words:
            return
        self._failure, self._words = None, words
        self.display = bool(words)
        self.update(Content.assemble(("… ", "bold $accent"), (brief(words), "$foreground")))

    def show(self, failure: Failure | None, hint: str = "") -> None:
        """Show a failure, or None to go away; ``hint`` names a key that helps."""
        if failure == self._failure and not self._words:
            return
        self._failure, self._words = failure, ""
        self.display = failure is not None
        if failure is not None:
            lines = [Content.assemble(("✗ ", "bold $error"), (brief(failure.message, _MOST), "$error"))]
            if failure.remedy or hint:
                lines.append(
                    Content.assemble(("  " + brief(failure.remedy, _MOST), "$foreground"), (f"  {hint}", "$muted"))
                )
            self.update(Content("\n").join(lines))
