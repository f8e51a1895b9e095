"""Ends the console when its terminal is gone, whether or not SIGHUP tells.

Textual does not notice: its writer thread dies, its queue fills, and the event loop blocks or spins. So a thread of
its own watches, leaves the engine, whose work goes on, and ends without touching the terminal again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

EXIT_CODE = 128 + signal.SIGHUP
LOOK_EVERY_S = 0.5
CLOSE_WITHIN_S = 1.5


class HangupWatch:
    """Watches standard input's terminal from ``start`` to ``stop``.

    ``drop_output`` frees a blocked event loop; ``close`` leaves the engine, in the loop, within CLOSE_WITHIN_S seconds.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        drop_output: Callable[[], None],
        close: Callable[[], Coroutine[Any, Any, object]],
    ) -> None:
        self._loop = loop
        self._drop_output = drop_output
        self._close = close
        self._hung_up = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="hangup-watch", daemon=True)

    def start(self) -> None:
        # A plain handler, not the loop's: it runs even while the loop is blocked in a write.
        signal.signal(signal.SIGHUP, lambda _signal, _frame: self._hung_up.set())
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    def _watch(self) -> None:
        while not self._stopped.is_set():
            if self._hung_up.wait(LOOK_EVERY_S) or not os.isatty(0):
                self._leave()

    def _leave(self) -> None:
        self._drop_output()
        try:
            closing: Future[object] = asyncio.run_coroutine_threadsafe(self._close(), self._loop)
            closing.result(CLOSE_WITHIN_S)
        finally:
            os._exit(EXIT_CODE)
