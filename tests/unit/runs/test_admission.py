"""Who may run, who waits, who is sent away."""

from __future__ import annotations

import asyncio

import pytest

from engine.errors import BusyError
from engine.runs.admission import Admission


class Crowd:
    """Runs that hold their places until told to go."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._go: list[asyncio.Event] = []
        self.entered: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def come(self, *, patient: bool = False) -> int:
        number = len(self.tasks)
        go = asyncio.Event()
        self._go.append(go)

        async def stay() -> None:
            async with self._admission.place(patient=patient):
                self.entered.append(number)
                await go.wait()

        self.tasks.append(asyncio.create_task(stay()))
        await settle()
        return number

    async def leave(self, number: int) -> None:
        self._go[number].set()
        await self.tasks[number]
        await settle()

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_places_are_given_in_the_order_of_coming() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    for _ in range(4):
        await crowd.come()
    assert (crowd.entered, admission.running, admission.queued) == ([0], 1, 3)
    for number in range(4):
        await crowd.leave(number)
    assert crowd.entered == [0, 1, 2, 3]
    assert (admission.running, admission.queued) == (0, 0)


async def test_who_comes_to_a_full_queue_is_sent_away_with_a_time_to_come_back() -> None:
    admission = Admission(1, 1)
    crowd = Crowd(admission)
    await crowd.come()
    await crowd.come()
    with pytest.raises(BusyError) as refused:
        async with admission.place():
            pass
    assert refused.value.retry_after_s >= 1
    await crowd.close()


async def test_the_rest_of_a_batch_waits_even_behind_a_full_queue() -> None:
    admission = Admission(1, 0)
    crowd = Crowd(admission)
    await crowd.come()
    late = await crowd.come(patient=True)
    await crowd.leave(0)
    assert crowd.entered == [0, late]
    await crowd.close()


async def test_one_who_gives_up_waiting_leaves_no_hole() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    for _ in range(3):
        await crowd.come()
    crowd.tasks[1].cancel()
    await settle()
    assert admission.queued == 1
    await crowd.leave(0)
    assert crowd.entered == [0, 2]
    await crowd.close()
    assert (admission.running, admission.queued) == (0, 0)


async def test_one_who_gives_up_as_its_turn_comes_hands_the_place_on() -> None:
    admission = Admission(1, 10)
    crowd = Crowd(admission)
    for _ in range(3):
        await crowd.come()
    crowd.tasks[0].cancel()  # frees the place for 1 ...
    await asyncio.sleep(0)
    crowd.tasks[1].cancel()  # ... which gives up in the same moment
    await settle()
    assert crowd.entered == [0, 2]
    await crowd.close()
    assert (admission.running, admission.queued) == (0, 0)


async def test_a_run_that_fails_gives_its_place_back() -> None:
    admission = Admission(1, 0)
    with pytest.raises(RuntimeError):
        async with admission.place():
            raise RuntimeError
    assert admission.running == 0
