"""A failure that lasts, under the status line: what happened and what to do. Not there while all is well."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from console.failure import Failure
from console.plain import brief


class Notice(Static):
    def __init__(self) -> None:
        super().__init__()
        self.display = False
        self._failure: Failure | None = None

    def show(self, failure: Failure | None, hint: str = "") -> None:
        """Show a failure, or None to go away; ``hint`` names a key that helps."""
        if failure == self._failure:
            return
        self._failure = failure
        self.display = failure is not None
        if failure is not None:
            lines = [Content.assemble(("✗ ", "bold $error"), (brief(failure.message), "$error"))]
            if failure.remedy or hint:
                lines.append(Content.assemble(("  " + brief(failure.remedy), "$foreground"), (f"  {hint}", "$muted")))
            self.update(Content("\n").join(lines))
