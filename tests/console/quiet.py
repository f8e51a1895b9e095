"""When a console in a test has done all there is to do.

Textual's pilot waits for 20 ms in which the process hardly computed, twice for each key: most of a test's time, and
on a busy machine not even true. The event loop knows: it has nothing to run, and nothing that is due in a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol, cast

from textual._context import active_app

SOON_S = 0.01
"""What is put off for less is part of what goes on: the order of keys does so, and a resize, by a 120th of a second."""

LONGEST_S = 1.0
"""An app that never comes to rest, as one with a tick of a millisecond, is not waited for any longer."""


class _Loop(Protocol):
    """What is read of asyncio's loop, which has no public face."""

    _ready: Sequence[asyncio.Handle]
    _scheduled: Sequence[asyncio.TimerHandle]

    def time(self) -> float: ...


async def until_quiet(_least_s: float = 0, longest_s: float = LONGEST_S) -> None:
    """Wait until the loop has nothing to run and the app nothing to paint. Threads, sockets and later times are not
    waited for."""
    loop = cast(_Loop, asyncio.get_running_loop())
    end = loop.time() + longest_s
    while loop.time() < end:
        await asyncio.sleep(0)  # all that was ready has run when this goes on
        if loop._ready:
            continue
        soon = loop.time() + SOON_S
        due = [each.when() for each in loop._scheduled if not each.cancelled() and each.when() < soon]
        if due:
            await asyncio.sleep(max(0.0, min(due) - loop.time()))
        elif not _paints():
            return


def _paints() -> bool:
    """Whether the screen had something to paint, or to do after it; now rather than with its next picture."""
    app = active_app.get(None)
    if app is None or not app.screen_stack:
        return False
    screen = app.screen
    wanted = screen._layout_required or screen._scroll_required or screen._repaint_required
    if not (wanted or screen._dirty_widgets or screen._recompose_required or screen._callbacks):
        return False
    screen._on_timer_update()
    return True
