"""The code field: Textual's editor with the colours of our themes, and plain where there is no grammar."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual import events
from textual.widgets import TextArea
from textual.widgets.text_area import TextAreaTheme

from console.themes import ThemeFile, syntax_styles

if TYPE_CHECKING:
    from console.app import ConsoleApp

MAX_HIGHLIGHTED_LINES = 2000
_THEME = "vmdeck"


class CodeEditor(TextArea):
    """tab indents; esc gives the keys back. Highlighting stops for very long code, which would make typing slow."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, show_line_numbers=True, tab_behavior="indent", soft_wrap=False, compact=True)
        self._syntax: str | None = None

    def on_mount(self) -> None:
        self.use_theme(cast("ConsoleApp", self.app).theme_file)

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "escape":
            event.prevent_default()  # the base moves to the next field; here the screen's own binding answers

    def use_syntax(self, syntax: str | None) -> None:
        """Highlight as this language, if there is a grammar for it."""
        self._syntax = syntax if syntax in self.available_languages else None
        self._choose_language()

    def use_theme(self, theme: ThemeFile) -> None:
        """Take the syntax colours of a theme; all else follows the style sheet."""
        self.register_theme(TextAreaTheme(name=_THEME, syntax_styles=syntax_styles(theme)))
        if self.theme == _THEME:
            self.theme = "css"
        self.theme = _THEME

    def replace_all(self, text: str) -> None:
        """Replace the code; unlike ``load_text`` this can be undone."""
        self.replace(text, self.document.start, self.document.end)
        self.move_cursor((0, 0))

    def on_text_area_changed(self) -> None:
        self._choose_language()

    def _choose_language(self) -> None:
        wished = self._syntax if self.document.line_count <= MAX_HIGHLIGHTED_LINES else None
        if self.language != wished:
            self.language = wished
