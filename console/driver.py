"""The terminal driver: Textual's own, which also knows how much output is still queued and can lose its terminal.

Textual is pinned to the version whose driver this extends; it reads the writer thread's queue, which has no public
face.
"""

from __future__ import annotations

import codecs
import queue
import time
from collections.abc import Callable
from functools import partial

from textual.drivers import linux_driver
from textual.drivers.linux_driver import LinuxDriver

_END_LOOK_S = 0.1
"""A terminal that is gone can be read for ever, and gives nothing each time: no faster than this."""


class _Decoder(codecs.getincrementaldecoder("utf-8")):
    def decode(self, input: bytes, final: bool = False) -> str:
        if not input and not final:
            time.sleep(_END_LOOK_S)
        return super().decode(input, final)


def _lenient(_encoding: str) -> Callable[[], codecs.IncrementalDecoder]:
    return partial(_Decoder, errors="replace")


# A key that is no UTF-8, as a terminal of another encoding sends, would end Textual's input thread, and the console.
linux_driver.getincrementaldecoder = _lenient


class ConsoleDriver(LinuxDriver):
    lost = False

    def write(self, data: str) -> None:
        """Queue output. Blocks while a slow terminal has much to swallow; drops it once the terminal is lost."""
        if not self.lost:
            super().write(data)

    @property
    def output_queued(self) -> bool:
        """Whether earlier output has not gone out yet: a periodic repaint would only add to the delay."""
        return self._writer_thread is not None and self._writer_thread._queue.qsize() > 0

    def lose_terminal(self) -> None:
        """Drop all output from now on and free a writer that waits for room. May be called from any thread."""
        self.lost = True
        if self._writer_thread is None:
            return
        try:
            while True:
                self._writer_thread._queue.get_nowait()
        except queue.Empty:
            return

    def use_mouse(self, on: bool) -> None:
        """Take the mouse from the terminal, or give it back for its own selecting."""
        if on:
            self._mouse = True
            self._enable_mouse_support()
        else:
            self._disable_mouse_support()
            self._mouse = False
