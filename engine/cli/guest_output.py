"""A guest's output on its way to ours: byte for byte into files and pipes, made harmless where a person looks at it.

Escape sequences of untrusted code could set a terminal's title or clipboard, send answers back as if typed, or hide
and overwrite what was shown.
"""

from __future__ import annotations

from typing import TextIO

from engine.printable import printable

_KEPT = "\n\t"


class GuestOutput:
    """One stream of a run. On a terminal control characters are shown, not obeyed, unless ``raw``."""

    def __init__(self, stream: TextIO, *, raw: bool = False) -> None:
        self._stream = stream
        self._shows = stream.isatty() and not raw
        self._return_held = False

    def write(self, text: str) -> None:
        self._pass(self._harmless(text) if self._shows else text)

    def end(self) -> None:
        """Nothing more comes. May be called again."""
        if self._return_held:
            self._return_held = False
            self._pass(printable("\r"))

    def _harmless(self, text: str) -> str:
        """A return before a line's end is no overwriting, so one at the end of a piece waits for the next piece."""
        if not text:
            return text
        if self._return_held:
            text = "\r" + text
        self._return_held = text.endswith("\r")
        whole = text[:-1] if self._return_held else text
        lines = whole.replace("\r\n", "\n")
        return "".join(char if char in _KEPT else printable(char) for char in lines)

    def _pass(self, text: str) -> None:
        """Whatever the locale says."""
        self._stream.buffer.write(text.encode(errors="replace"))
        self._stream.buffer.flush()
