"""Output as it comes, kept bounded: the last lines of several streams, in the order they arrived.

It takes raw text at any rate and in any pieces, and holds no more than its bounds; a viewer reads it when it likes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MAX_LINES = 2000
MAX_CHARS = 256 * 1024
MAX_LINE_CHARS = 4096
"""A longer line goes on in another entry: endless output without a newline must not grow one."""


@dataclass(slots=True)
class Line:
    """One line of one stream, raw. ``number`` counts from 0; ``open`` lines may still grow; a newline ``ends`` others,
    unless they are a piece of a long one or the other stream came between."""

    number: int
    stream: str
    text: str
    open: bool = True
    ends: bool = False


class OutputLog:
    """``dropped`` counts the lines that no longer fit; ``version`` changes with every change."""

    def __init__(self, max_lines: int = MAX_LINES, max_chars: int = MAX_CHARS) -> None:
        self._max_lines = max_lines
        self._max_chars = max_chars
        self._chars = 0
        self._next = 0
        self.lines: deque[Line] = deque()
        self.dropped = 0
        self.version = 0

    def write(self, stream: str, text: str) -> None:
        """Append a piece of a stream; a piece may end anywhere, also inside a line or an escape sequence."""
        if not text:
            return
        self.version += 1
        if len(text) > self._max_chars:
            text = self._newest_part(text)
        start = 0
        while start < len(text):
            end = text.find("\n", start, start + MAX_LINE_CHARS)
            self._extend(stream, text[start : end if end >= 0 else start + MAX_LINE_CHARS], closes=end >= 0)
            start = end + 1 if end >= 0 else start + MAX_LINE_CHARS
        self._drop()

    def line(self, stream: str, text: str) -> None:
        """Append whole lines."""
        self.write(stream, text if text.endswith("\n") else text + "\n")

    def pieces(self) -> list[tuple[str, str]]:
        """(stream, text) in order, neighbours of one stream together: writing them again gives the same lines."""
        found: list[tuple[str, list[str]]] = []
        for line in self.lines:
            if not found or found[-1][0] != line.stream:
                found.append((line.stream, []))
            found[-1][1].append(line.text + "\n" if line.ends else line.text)
        return [(stream, "".join(texts)) for stream, texts in found]

    def clear(self) -> None:
        self.__init__(self._max_lines, self._max_chars)

    def _newest_part(self, text: str) -> str:
        cut = len(text) - self._max_chars
        self.dropped += text.count("\n", 0, cut)
        return text[cut:]

    def _extend(self, stream: str, text: str, *, closes: bool) -> None:
        last = self.lines[-1] if self.lines else None
        if last is None or not last.open or last.stream != stream or len(last.text) + len(text) > MAX_LINE_CHARS:
            if last is not None:
                last.open = False
            last = Line(self._next, stream, "")
            self._next += 1
            self.lines.append(last)
        last.text += text
        last.open = not closes
        last.ends = closes
        self._chars += len(text)

    def _drop(self) -> None:
        while len(self.lines) > self._max_lines or (self._chars > self._max_chars and len(self.lines) > 1):
            self._chars -= len(self.lines.popleft().text)
            self.dropped += 1
