"""Blocking work that a cancelled caller does not leave half done."""

from __future__ import annotations

import asyncio
import threading

import pytest

from engine.vmm.thread import to_its_end


async def test_a_cancelled_caller_goes_on_only_when_the_work_has_ended() -> None:
    begun, may_end, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait()
        done.set()

    caller = asyncio.create_task(to_its_end(work))
    await asyncio.to_thread(begun.wait)
    for _ in range(2):
        caller.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not caller.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done.is_set()


async def test_the_result_and_the_error_are_the_works() -> None:
    assert await to_its_end(int, "7") == 7
    with pytest.raises(ValueError, match="seven"):
        await to_its_end(int, "seven")
