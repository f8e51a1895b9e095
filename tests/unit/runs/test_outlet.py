"""Events on their way to the caller."""

from __future__ import annotations

import asyncio

import pytest

from engine.models import RunEvent
from engine.runs.outlet import Outlet


def event(number: int) -> RunEvent:
    return RunEvent(kind="stdout", trace_id="t", at_ms=number, text=str(number))


async def test_events_come_in_order_and_all_of_them() -> None:
    outlet = Outlet()

    async def work() -> None:
        for number in range(500):
            await outlet.send(event(number))

    assert [int(each.text) async for each in outlet.follow(work())] == list(range(500))


async def test_a_slow_reader_slows_the_sender() -> None:
    outlet = Outlet()
    sent = 0

    async def work() -> None:
        nonlocal sent
        for number in range(1000):
            await outlet.send(event(number))
            sent += 1

    events = outlet.follow(work())
    await anext(events)
    for _ in range(200):
        await asyncio.sleep(0)
    assert sent < 100
    assert len([each async for each in events]) == 999


async def test_what_the_work_raises_reaches_the_reader_after_its_events() -> None:
    outlet = Outlet()

    async def work() -> None:
        outlet.post(event(1))
        raise ValueError("broken")

    events = outlet.follow(work())
    assert (await anext(events)).text == "1"
    with pytest.raises(ValueError, match="broken"):
        await anext(events)


async def test_closing_cancels_the_work_and_waits_for_its_cleanup() -> None:
    outlet = Outlet()
    cleaned = False

    async def work() -> None:
        nonlocal cleaned
        try:
            outlet.post(event(1))
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            cleaned = True

    events = outlet.follow(work())
    await anext(events)
    await events.aclose()
    assert cleaned
