"""What is sent for a part of the screen is that part, and leaves the terminal as a whole repaint would."""

from __future__ import annotations

from pathlib import Path

import pyte

from tests.console.test_terminal_process import TerminalProcess

SIZE = (80, 24)


class Seen:
    """A terminal process and what stands on its screen."""

    def __init__(self, process: TerminalProcess) -> None:
        self._process = process
        self._screen = pyte.Screen(*SIZE)
        self._emulator = pyte.ByteStream(self._screen)

    def type(self, keys: bytes) -> int:
        """Type, and feed what comes of it to the screen; the number of bytes that came."""
        self._process.type(keys)
        return self.take()

    def take(self) -> int:
        got = self._process.read(1.0)
        self._emulator.feed(got)
        return len(got)

    @property
    def lines(self) -> list[str]:
        return list(self._screen.display)


def test_parts_leave_the_screen_as_a_whole_repaint_does(tmp_path: Path) -> None:
    process = TerminalProcess(SIZE, [str(tmp_path / "closed")])
    try:
        seen = Seen(process)
        process.until(b"egraded")
        seen.take()
        whole = seen.type(b"2")
        for keys in (b"j", b"j", b" ", b"s", b"\x1b", b"S", b"/", b"py\r", b"\x1b"):
            part = seen.type(keys)
            in_parts = seen.lines
            seen.type(b"\x0c")  # ctrl+l paints everything again
            assert seen.lines == in_parts, keys
        assert seen.type(b"j") < whole / 5
        assert part > 0
    finally:
        process.close()
