"""Blocking work in a thread, that no cancellation leaves half done behind its caller's back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def to_its_end(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """As asyncio.to_thread; but a caller that is cancelled goes on only when the thread has ended, so that what the
    work made is there to be removed. Raises what ``work`` raises."""
    working = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            try:
                await asyncio.wait((working,))
            except asyncio.CancelledError:
                continue  # asked for once more; the first is raised below
        working.exception()  # seen: the cancellation is what the caller hears of
        raise
