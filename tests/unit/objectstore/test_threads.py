"""Work in threads: it stops when asked, keeps its order, tells how far it is, and takes no more memory than it may."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from engine.errors import NotReadyError
from engine.objectstore.body import Body, begins_sending, begins_signing
from engine.objectstore.parallel import in_order
from engine.objectstore.stop import Stop, StoppedError, Threads
from engine.objectstore.tally import Tally


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    """One thread."""
    threads = Threads(1)
    yield threads
    await threads.close()


async def test_cancelling_asks_the_thread_to_stop_and_waits_for_its_cleanup(threads: Threads) -> None:
    began, cleaned = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work(stop: Stop) -> None:
        loop.call_soon_threadsafe(began.set)
        try:
            stop.wait(60)
        finally:
            cleaned.set()

    task = asyncio.create_task(threads.run(work))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned.is_set()


async def test_what_the_work_gives_or_raises_comes_through(threads: Threads) -> None:
    assert await threads.run(lambda _stop: 42) == 42

    def broken(_stop: Stop) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await threads.run(broken)


async def test_work_that_waits_for_a_thread_is_cancelled_at_once_and_never_begins(threads: Threads) -> None:
    free, began = threading.Event(), threading.Event()
    first = asyncio.create_task(threads.run(lambda _stop: free.wait(60)))
    second = asyncio.create_task(threads.run(lambda _stop: began.set()))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(second, 10)
    assert not first.done()
    free.set()
    assert await first
    assert not began.is_set()


async def test_work_takes_no_thread_from_the_rest_of_the_engine(threads: Threads) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    free = threading.Event()
    work = [asyncio.create_task(threads.run(lambda _stop: free.wait(60))) for _ in range(2)]
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 10) == "free"
    free.set()
    assert await asyncio.gather(*work) == [True, True]


async def test_closing_stops_what_is_under_way_and_takes_no_more(threads: Threads) -> None:
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(stop: Stop) -> None:
        loop.call_soon_threadsafe(began.set)
        stop.wait(60)

    task = asyncio.create_task(threads.run(work))
    await began.wait()
    await asyncio.wait_for(threads.close(), 10)
    with pytest.raises(NotReadyError, match="shutting down"):
        await task
    with pytest.raises(NotReadyError, match="shutting down"):
        await threads.run(work)


def test_a_child_stops_with_its_parent_and_not_the_other_way_round() -> None:
    parent = Stop()
    first, second = parent.child(), parent.child()
    first.ask()
    parent.check()
    second.check()
    parent.ask()
    for each in (parent, second, parent.child()):
        with pytest.raises(StoppedError):
            each.check()


def test_results_come_in_order_with_few_under_way() -> None:
    lock, now, most = threading.Lock(), 0, 0
    rest = threading.Event()

    def call(number: int) -> Callable[[], int]:
        def work() -> int:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            rest.wait(0.01 * (number % 3))
            with lock:
                now -= 1
            return number

        return work

    assert list(in_order((call(number) for number in range(30)), 3, Stop())) == list(range(30))
    assert 1 <= most <= 3


def test_no_more_calls_are_taken_than_are_worked_on() -> None:
    taken = 0

    def calls() -> Iterator[Callable[[], int]]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield lambda number=number: number

    with closing(in_order(calls(), 2, Stop())) as results:
        next(results)
        assert taken <= 3


def test_one_that_fails_stops_the_others() -> None:
    stop, stopped = Stop(), threading.Event()

    def waits() -> None:
        try:
            stop.wait(60)
        except StoppedError:
            stopped.set()
            raise

    def fails() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        list(in_order(iter([fails, waits, waits]), 3, stop))
    assert stopped.is_set()


class Request:
    def __init__(self, data: object) -> None:
        self.data = data


def test_a_body_counts_what_is_sent_and_not_what_is_signed() -> None:
    told: list[int] = []
    body = Body(b"x" * 100, Stop(), told.append)
    begins_signing(Request(body))
    body.read()
    body.seek(0)
    begins_sending(Request(body))
    assert (body.read(60), sum(told)) == (b"x" * 60, 60)
    body.again()
    assert (body.tell(), sum(told)) == (0, 0)


def test_a_body_breaks_off_when_asked() -> None:
    stop = Stop()
    body = Body(b"x", stop, lambda _count: None)
    stop.ask()
    with pytest.raises(StoppedError):
        body.read()


def test_a_tally_tells_each_tenth_of_a_file_once_and_never_leaves_the_whole() -> None:
    told: list[tuple[str, float | None]] = []
    tally = Tally(lambda line, fraction=None: told.append((line, fraction)), lambda _count: None)
    tally.expect(300)
    for name in ("a", "b", "c"):
        tally.begin(f"begin {name}", name, 100)
        for _ in range(50):
            tally.did(2)
    lines = [line for line, _ in told if line]
    assert lines == [
        line for name in "abc" for line in (f"begin {name}", *(f"{name}: {part} %" for part in range(10, 101, 10)))
    ]
    fractions = [fraction for _, fraction in told if fraction is not None]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
