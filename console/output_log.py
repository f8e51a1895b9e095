"""Output as it comes, kept bounded: the last lines of several streams, in the order they arrived.

It takes raw text at any rate and in any pieces, and holds no more than its bounds; a viewer reads it when it likes.
Text is made lines of when it is read, so that of a flood only what is still there then costs more than its arrival.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

MAX_LINES = 2000
MAX_CHARS = 256 * 1024
MAX_LINE_CHARS = 4096
"""A longer line goes on in another entry: endless output without a newline must not grow one."""

_MAX_PIECES = 4096


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
        self._lines: deque[Line] = deque()
        self._dropped = 0
        self._pieces: deque[tuple[str, str]] = deque()
        self._pieces_chars = 0
        self.version = 0

    @property
    def lines(self) -> deque[Line]:
        self._settle()
        return self._lines

    @property
    def dropped(self) -> int:
        self._settle()
        return self._dropped

    def write(self, stream: str, text: str) -> None:
        """Append a piece of a stream; a piece may end anywhere, also inside a line or an escape sequence."""
        if not text:
            return
        self.version += 1
        self._pieces.append((stream, text))
        self._pieces_chars += len(text)
        while self._pieces_chars - len(self._pieces[0][1]) >= self._max_chars:
            _, old = self._pieces.popleft()
            self._pieces_chars -= len(old)
            self._forget(old.count("\n"))
        if len(self._pieces) > _MAX_PIECES:
            self._settle()

    def skip(self, lines: int) -> None:
        """Count lines as dropped that were before the first."""
        self._dropped += lines

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

    def _settle(self) -> None:
        """Make lines of the pieces that came."""
        pieces = [self._pieces.popleft() for _ in range(len(self._pieces))]
        self._pieces_chars = 0
        for stream, text in self._newest(pieces):
            start = 0
            while start < len(text):
                end = text.find("\n", start, start + MAX_LINE_CHARS)
                self._extend(stream, text[start : end if end >= 0 else start + MAX_LINE_CHARS], closes=end >= 0)
                start = end + 1 if end >= 0 else start + MAX_LINE_CHARS
        self._drop()

    def _newest(self, pieces: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The end of them that fits the bounds."""
        kept: list[tuple[str, str]] = []
        chars, lines = self._max_chars, self._max_lines
        for stream, text in reversed(pieces):
            newest = text[max(0, len(text) - chars) :]
            if newest.count("\n") > lines:
                newest = newest[len(newest.rsplit("\n", lines + 1)[0]) + 1 :]
            chars -= len(newest)
            lines -= newest.count("\n")
            kept.append((stream, newest))
            if len(newest) < len(text):
                self._forget(text.count("\n", 0, len(text) - len(newest)))
                chars = 0  # nor is there room for anything older
        return kept[::-1]

    def _forget(self, lines: int) -> None:
        """Drop all that is here, and ``lines`` that came after it."""
        self._dropped += len(self._lines) + lines
        self._lines.clear()
        self._chars = 0

    def _extend(self, stream: str, text: str, *, closes: bool) -> None:
        last = self._lines[-1] if self._lines else None
        if last is None or not last.open or last.stream != stream or len(last.text) + len(text) > MAX_LINE_CHARS:
            if last is not None:
                last.open = False
            last = Line(self._next, stream, "")
            self._next += 1
            self._lines.append(last)
        last.text += text
        last.open = not closes
        last.ends = closes
        self._chars += len(text)

    def _drop(self) -> None:
        while len(self._lines) > self._max_lines or (self._chars > self._max_chars and len(self._lines) > 1):
            self._chars -= len(self._lines.popleft().text)
            self._dropped += 1
