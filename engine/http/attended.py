"""Work that lasts only as long as someone waits for it: the client leaving or the server stopping ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

from engine.errors import VmdeckError

T = TypeVar("T")


class ClientGone(Exception):
    """The client closed its connection; nobody reads the answer."""


async def attended(work: Coroutine[Any, Any, T], receive: Receive, stopping: asyncio.Event, stopped: VmdeckError) -> T:
    """Result of ``work``. Raises ClientGone or ``stopped`` once the cancelled work has cleaned up after itself.

    ``receive`` must have delivered the whole request body already.
    """
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_disconnect(receive))
    halting = asyncio.create_task(stopping.wait())
    tasks = (working, leaving, halting)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        gone = leaving.done()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if working.done() and not working.cancelled() and working.exception() is None:
        return working.result()
    raise ClientGone if gone else stopped


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
