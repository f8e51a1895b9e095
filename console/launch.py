"""The console's entry point: readies the environment, then holds terminal, engine and app together until the end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from console.connection import Connection, EngineFactory
from console.terminal import Terminal
from engine.api import EngineApi

CLOSE_WITHIN_S = 5.0
EXIT_NO_TERMINAL = 2
EXIT_NOT_CLOSED = 70


def run(
    engine_factory: EngineFactory,
    *,
    read_only: bool = False,
    warnings: Sequence[str] = (),
    colours: str = "auto",
    ascii_only: bool = False,
    tick_s: float | None = None,
) -> int:
    """Show the console until the operator leaves, and return the exit code.

    ``engine_factory`` gives an async context manager over an EngineApi; it is entered after the first paint, in the
    console's own event loop, again when the engine is lost, and left before this returns. ``warnings`` are shown.
    ``colours`` is one of ``console.terminal.COLOURS``; ``tick_s`` is how often screens ask the engine.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        print("vmdeck: the console needs a terminal. Without one, use the commands: vmdeck --help", file=sys.stderr)
        return EXIT_NO_TERMINAL
    gc.disable()  # what a start makes stays: looking for garbage in it takes a tenth of the time to the first paint
    terminal = Terminal.of(os.environ, colours=colours, ascii_only=ascii_only)
    os.environ.pop("NO_COLOR", None)  # heard; Textual would make greys of it, even where it is empty or overruled
    for fixed in ("COLUMNS", "LINES"):
        os.environ.pop(fixed, None)  # exported by a shell, they would stand for the window's size for ever
    os.environ.update(terminal.textual_environment())  # Textual reads these when it is imported
    return asyncio.run(
        _run(Connection(_collecting(engine_factory)), terminal, read_only=read_only, warnings=warnings, tick_s=tick_s)
    )


def _collecting(factory: EngineFactory) -> EngineFactory:
    """The engine is asked for when the first paint is done; from then on there is garbage to collect."""

    def opened(tell: Callable[[str], None], *, may_start: bool) -> AbstractAsyncContextManager[EngineApi]:
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        return factory(tell, may_start=may_start)

    return opened


async def _run(
    connection: Connection, terminal: Terminal, *, read_only: bool, warnings: Sequence[str], tick_s: float | None
) -> int:
    from console.app import TICK_S, ConsoleApp
    from console.driver import ConsoleDriver
    from console.hangup import HangupWatch

    app = ConsoleApp(connection, terminal=terminal, read_only=read_only, warnings=warnings, tick_s=tick_s or TICK_S)

    def drop_output() -> None:
        if isinstance(app._driver, ConsoleDriver):
            app._driver.lose_terminal()

    loop = asyncio.get_running_loop()
    watch = HangupWatch(loop, drop_output, connection.close)
    watch.start()
    loop.add_signal_handler(signal.SIGTERM, app.exit, 128 + signal.SIGTERM)
    try:
        code = await app.run_async(mouse=not terminal.remote)
    finally:
        # The terminal may still go while the engine is left, so the watch stays until it is.
        closed = await connection.close(CLOSE_WITHIN_S)
        watch.stop()
    if not closed:
        print("vmdeck: the connection to the engine could not be closed in time.", file=sys.stderr)
        return EXIT_NOT_CLOSED
    if app.farewell:
        print(app.farewell, file=sys.stderr)
    return code if code is not None else app.return_code or 0
