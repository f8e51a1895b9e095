"""The code field: Textual's editor with the colours of our themes, and plain where there is no grammar."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets.text_area import TextAreaTheme

from console.themes import ThemeFile, syntax_styles
from console.widgets.plain_fields import PlainTextArea
from engine.models import Language

if TYPE_CHECKING:
    from console.app import ConsoleApp

MAX_HIGHLIGHTED_LINES = 2000
MAX_CHARS = 1024 * 1024
"""More than any run takes as code; a paste beyond it is refused."""
_THEME = "vmdeck"
_SYNTAXES = {
    "py": "python",
    "sh": "bash",
    "js": "javascript",
    "mjs": "javascript",
    "rs": "rust",
    "md": "markdown",
    "yml": "yaml",
    "htm": "html",
}
"""Grammars by a file's suffix, where they are not called as the suffix is."""


class CodeEditor(PlainTextArea):
    """tab indents; esc gives the keys back. Highlighting stops for very long code, which would make typing slow."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+home", "document_start", show=False),
        Binding("ctrl+end", "document_end", show=False),
    ]

    class Refused(Message):
        """A paste was too large; the text is as it was."""

        def __init__(self, chars: int) -> None:
            super().__init__()
            self.chars = chars

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, show_line_numbers=True, tab_behavior="indent", soft_wrap=False, compact=True)
        self._syntax: str | None = None

    def action_document_start(self) -> None:
        self.move_cursor((0, 0))

    def action_document_end(self) -> None:
        self.move_cursor(self.document.end)

    def on_mount(self) -> None:
        self.use_theme(cast("ConsoleApp", self.app).theme_choice.file)

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "escape":
            event.prevent_default()  # the base moves to the next field; here the screen's own binding answers

    async def _on_paste(self, event: events.Paste) -> None:
        chars = len(self.text) + len(event.text)
        if chars > MAX_CHARS:
            event.prevent_default()
            event.stop()
            self.post_message(self.Refused(chars))
        elif self.document.line_count + event.text.count("\n") > MAX_HIGHLIGHTED_LINES:
            self.language = None  # before the base inserts it, or it would be parsed first

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

    def open(self, text: str, cursor: tuple[int, int], syntax: str | None) -> None:
        """Show another text; what was typed before can't be undone in it."""
        self._syntax = None
        self.language = None  # the text before needs no parsing any more, nor does a long new one
        self.load_text(text)
        self.use_syntax(syntax)
        self.move_cursor(self.clamp_visitable(cursor))

    def replace_all(self, text: str) -> None:
        """Replace the code; unlike ``open`` this can be undone."""
        self.replace(text, self.document.start, self.document.end)
        self.move_cursor((0, 0))

    def on_text_area_changed(self) -> None:
        self._choose_language()

    def _choose_language(self) -> None:
        wished = self._syntax if self.document.line_count <= MAX_HIGHLIGHTED_LINES else None
        if self.language != wished:
            self.language = wished


def syntax_of(path: str, language: Language | None) -> str | None:
    """The grammar for a file beside the code, by its suffix; for the code itself (no path) that of the language."""
    if language is not None and (not path or PurePosixPath(path).suffix == PurePosixPath(language.file_name).suffix):
        return language.syntax
    suffix = PurePosixPath(path).suffix.removeprefix(".").lower()
    return _SYNTAXES.get(suffix, suffix) or None
