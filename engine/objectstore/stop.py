"""Asking work in threads to stop: they look at it between pieces, and waits between attempts end with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from engine.errors import NotReadyError

T = TypeVar("T")


class StoppedError(Exception):
    """The work was asked to stop. It never leaves ``Threads``."""


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


class Threads:
    """A few threads for blocking work that takes long, apart from those that the rest of the engine shares."""

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="exchange")
        self._stops: set[Stop] = set()
        self._closed = False

    async def run(self, work: Callable[[Stop], T]) -> T:
        """Being cancelled asks ``work`` to stop, and waits until it has cleaned up.

        Raises what ``work`` raises, and NotReadyError once this is closed.
        """
        if self._closed:
            raise _closing()
        stop = Stop()
        self._stops.add(stop)
        try:
            return await _done(self._pool.submit(work, stop), stop)
        except StoppedError:
            raise _closing() from None
        finally:
            self._stops.remove(stop)

    async def close(self) -> None:
        """Ask all work to stop, return when it has. Idempotent."""
        self._closed = True
        for stop in self._stops:
            stop.ask()
        await asyncio.to_thread(self._pool.shutdown)


async def _done(submitted: Future[T], stop: Stop) -> T:
    running = asyncio.wrap_future(submitted)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.ask()
        if submitted.cancel():  # no thread was free for it yet
            raise
        while not running.done():
            try:
                await asyncio.wait({running})
            except asyncio.CancelledError:
                continue  # asked for once more; the first is raised below
        running.exception()  # seen: the cancellation is what the caller hears of
        raise


def _closing() -> NotReadyError:
    return NotReadyError("The engine is shutting down and asks no bucket any more", remedy="Start it again.")
