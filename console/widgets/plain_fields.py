"""Text fields whose text may be a stranger's: a file that was opened, a request that somebody else made.

Textual paints what is in a field as it is, escape sequences included; these paint it as ``plain_signs``.
"""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Input, TextArea

from console.plain import plain_signs


class PlainTextArea(TextArea):
    def get_line(self, line_index: int) -> Text:
        return Text(plain_signs(self.document.get_line(line_index)), end="", no_wrap=True)


class PlainInput(Input):
    """Overrides a private property of the pinned Textual: there is no public one between value and screen."""

    @property
    def _value(self) -> Text:
        return Text(plain_signs(self.value), no_wrap=True, overflow="ignore", end="")
