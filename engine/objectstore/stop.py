"""Asking work in threads to stop: they look at it between pieces, and waits between attempts end with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class StoppedError(Exception):
    """The work was asked to stop. It never leaves ``stoppable``."""


class Stop:
    """One may be set from any thread; its children are set with it, not it with them."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._children: list[Stop] = []

    def child(self) -> Stop:
        child = Stop()
        self._children.append(child)
        if self._asked.is_set():
            child.ask()
        return child

    def ask(self) -> None:
        self._asked.set()
        for child in self._children:
            child.ask()

    def check(self) -> None:
        """Raises StoppedError where that was asked."""
        if self._asked.is_set():
            raise StoppedError

    def wait(self, seconds: float) -> None:
        """Raises StoppedError as soon as that is asked."""
        if self._asked.wait(seconds):
            raise StoppedError


async def stoppable(work: Callable[[Stop], T]) -> T:
    """``work`` in a thread. Being cancelled asks it to stop, and waits until it has cleaned up."""
    stop = Stop()
    running = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.ask()
        while not running.done():
            try:
                await asyncio.wait({running})
            except asyncio.CancelledError:
                continue  # asked for once more; the first is raised below
        running.exception()  # seen: the cancellation is what the caller hears of
        raise
