"""The text fields of the console. What is in one may be a stranger's: pasted, read from a file, a name from a manifest.

Textual paints what is in a field as it is, escape sequences included; these paint it as ``plain_signs`` and leave it
as it is, so that what is sent is what was given. Their cursors do not blink, which would cost bytes. No other field
stands in a screen or dialog.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text
from textual.expand_tabs import expand_tabs_inline
from textual.widgets import Input, TextArea

from console.plain import plain_signs


class PlainTextArea(TextArea):
    def on_mount(self) -> None:
        self.cursor_blink = False

    def get_line(self, line_index: int) -> Text:
        return Text(plain_signs(self.document.get_line(line_index)), end="", no_wrap=True)


class PlainInput(Input):
    """Overrides private parts of the pinned Textual: there is no public one between value and screen."""

    def on_mount(self) -> None:
        self.cursor_blink = False

    @property
    def _value(self) -> Text:
        if self.password:
            return super()._value
        return Text(plain_signs(self.value), no_wrap=True, overflow="ignore", end="")

    def _position_to_cell(self, position: int) -> int:
        """Of what is shown. Textual's own takes the square of the time for long lines of a value that has several."""
        return cell_len(expand_tabs_inline(plain_signs(self.value[:position]), 4))
