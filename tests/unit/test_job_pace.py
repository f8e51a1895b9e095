"""How fast and how long is said when it is known, and does not jump."""

from __future__ import annotations

import asyncio

import pytest

from engine.jobs import JobBoard, JobContext
from engine.jobs.pace import Pace
from engine.setup.ticker import Ticker

MIB = 1024 * 1024


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock)


def test_nothing_is_said_before_anything_is_known(pace: Pace, clock: Clock) -> None:
    pace.progressed(0.0)
    pace.moved(0)
    assert (pace.rate(), pace.remaining_s()) == (None, None)
    clock.now += 60
    assert pace.remaining_s() is None, "a minute without progress tells nothing of the rest"


def test_the_rest_takes_as_long_as_what_is_done_lets_expect(pace: Pace, clock: Clock) -> None:
    pace.progressed(0.0)
    clock.now += 10
    pace.progressed(0.25)
    assert pace.remaining_s() == 30


def test_what_was_done_before_it_began_does_not_count(pace: Pace, clock: Clock) -> None:
    pace.progressed(0.5)
    clock.now += 10
    pace.progressed(0.75)
    assert pace.remaining_s() == 10


def test_a_leap_of_the_fraction_is_no_leap_of_the_time(pace: Pace, clock: Clock) -> None:
    pace.progressed(0.0)
    clock.now += 20
    pace.progressed(0.2)
    assert pace.remaining_s() == 80
    told: list[float] = []
    pace.progressed(0.8)
    for _ in range(60):
        clock.now += 0.5
        told.append(pace.remaining_s() or 0)
    steps = [abs(after - before) for before, after in zip([80.0, *told], told, strict=False)]
    assert max(steps) <= 8
    assert told[-1] < 20, "and it is put right in time"


def test_asking_often_changes_nothing(clock: Clock) -> None:
    asked_often, asked_once = Pace(clock), Pace(clock)
    for pace in (asked_often, asked_once):
        pace.progressed(0.0)
    clock.now += 10
    for pace in (asked_often, asked_once):
        pace.progressed(0.5)
        pace.remaining_s()
    for _ in range(100):
        clock.now += 0.05
        asked_often.remaining_s()
    assert asked_often.remaining_s() == pytest.approx(asked_once.remaining_s(), abs=2)


def test_a_job_that_begins_again_is_estimated_again(pace: Pace, clock: Clock) -> None:
    pace.progressed(0.0)
    clock.now += 10
    pace.progressed(0.5)
    pace.progressed(0.1)
    assert pace.remaining_s() is None


@pytest.mark.parametrize(
    ("bytes_s", "text"), [(0, "0 B/s"), (512, "512 B/s"), (2048, "2.0 KiB/s"), (3.1 * MIB, "3.1 MiB/s")]
)
def test_the_rate_is_of_the_last_seconds(pace: Pace, clock: Clock, bytes_s: float, text: str) -> None:
    pace.moved(0)
    clock.now += 100
    for second in range(6):
        pace.moved(10**9 + int(second * bytes_s))
        clock.now += 1
    clock.now -= 1
    assert pace.rate() == text


def test_a_rate_falls_while_nothing_comes_and_then_is_not_told(pace: Pace, clock: Clock) -> None:
    pace.moved(0)
    clock.now += 1
    pace.moved(4 * MIB)
    assert pace.rate() == "4.0 MiB/s"
    clock.now += 3
    assert pace.rate() == "1.0 MiB/s"
    clock.now += 3
    assert pace.rate() is None


def test_the_next_file_has_a_rate_of_its_own(pace: Pace, clock: Clock) -> None:
    pace.moved(0)
    clock.now += 1
    pace.moved(100 * MIB)
    pace.moved(0)
    clock.now += 1
    pace.moved(MIB)
    assert pace.rate() == "1.0 MiB/s"


async def test_a_download_tells_the_job_it_belongs_to_how_fast_it_goes() -> None:
    board = JobBoard()
    arrived, go_on = asyncio.Event(), asyncio.Event()

    async def work(job: JobContext) -> None:
        ticker = Ticker(job, "kernel", 0, 8 * MIB)
        ticker.arrived(MIB)
        await asyncio.sleep(0.6)
        ticker.arrived(MIB)
        arrived.set()
        await go_on.wait()

    started = board.start("setup", "Set up", work)
    await asyncio.wait_for(arrived.wait(), 10)
    assert (board.job(started.id).rate or "").endswith("MiB/s")
    go_on.set()
    assert (await board.wait(started.id)).rate is None, "an ended job goes at no speed"
    await board.close()
