"""Jobs run to a told end, whoever looks or goes away meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from engine.errors import ConflictError, NotFoundError, NotReadyError
from engine.jobs import JobBoard, JobContext
from engine.jobs import board as boards
from engine.jobs.record import MAX_EVENTS, MAX_LINE
from engine.models import Job, JobEvent, JobState


class Gate:
    """Work that says when it has begun and goes on when it is let; remembers what happened to it."""

    def __init__(self, result: str | None = None) -> None:
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self.result = result
        self.cleaned_up = False

    async def __call__(self, job: JobContext) -> str | None:
        try:
            self.begun.set()
            await self.open.wait()
        finally:
            await asyncio.sleep(0)  # cleanup that needs the loop once more
            self.cleaned_up = True
        return self.result


@pytest.fixture
async def board() -> AsyncIterator[JobBoard]:
    board = JobBoard()
    yield board
    await asyncio.wait_for(board.close(), 10)


async def followed(board: JobBoard, job: Job, after: int = 0) -> list[JobEvent]:
    async with asyncio.timeout(10):
        return [event async for event in board.events(job.id, after=after)]


async def lines(board: JobBoard, job: Job) -> list[str | None]:
    return [event.line for event in await followed(board, job)]


# --- ends


async def test_a_job_tells_what_it_made(board: JobBoard) -> None:
    async def work(_job: JobContext) -> str:
        return "the-image"

    started = board.start("image", "Build", work)
    assert started.state is JobState.RUNNING
    ended = await board.wait(started.id)
    assert (ended.state, ended.result, ended.fraction) == (JobState.DONE, "the-image", 1.0)
    assert ended.ended is not None


async def test_a_failure_keeps_its_cause_and_remedy(board: JobBoard) -> None:
    async def work(_job: JobContext) -> None:
        raise NotReadyError("the disk is full", remedy="free some room")

    job = await board.wait(board.start("image", "Build", work).id)
    assert (job.state, job.error, job.remedy) == (JobState.FAILED, "the disk is full", "free some room")
    assert job.result is None


async def test_an_unforeseen_failure_is_told_and_logged_with_its_trace(
    board: JobBoard, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(_job: JobContext) -> None:
        raise ZeroDivisionError("by nought")

    with caplog.at_level(logging.ERROR):
        job = await board.wait(board.start("image", "Build", work).id)
    assert job.error is not None
    assert "ZeroDivisionError: by nought" in job.error
    assert job.remedy
    assert [record.exc_info is not None for record in caplog.records] == [True]


async def test_cancel_returns_when_the_work_has_cleaned_up(board: JobBoard) -> None:
    gate = Gate()
    job = board.start("image", "Build", gate)
    await gate.begun.wait()
    cancelled = await board.cancel(job.id)
    assert cancelled.state is JobState.CANCELLED
    assert gate.cleaned_up


async def test_a_job_cancelled_before_it_ran_is_cancelled(board: JobBoard) -> None:
    gate = Gate()
    cancelled = await board.cancel(board.start("image", "Build", gate).id)
    assert cancelled.state is JobState.CANCELLED
    assert not gate.begun.is_set()


async def test_a_second_cancel_does_not_interrupt_the_cleanup(board: JobBoard) -> None:
    cleaning, release, cleaned = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work(_job: JobContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await release.wait()
            cleaned.set()

    job = board.start("image", "Build", work)
    await asyncio.sleep(0)
    first = asyncio.create_task(board.cancel(job.id))
    await cleaning.wait()
    second = asyncio.create_task(board.cancel(job.id))
    await asyncio.sleep(0)
    release.set()
    await asyncio.gather(first, second)
    assert cleaned.is_set()


async def test_cancelling_an_ended_job_changes_nothing(board: JobBoard) -> None:
    async def work(_job: JobContext) -> str:
        return "made"

    job = await board.wait(board.start("image", "Build", work).id)
    assert await board.cancel(job.id) == job


async def test_whoever_gives_up_waiting_does_not_end_the_job(board: JobBoard) -> None:
    gate = Gate("made")
    job = board.start("image", "Build", gate)
    waiter = asyncio.create_task(board.wait(job.id))
    await gate.begun.wait()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    gate.open.set()
    assert (await board.wait(job.id)).result == "made"


async def test_closing_the_board_ends_all_jobs_and_takes_no_more(board: JobBoard) -> None:
    gates = [Gate(), Gate()]
    started = [board.start("image", "Build", gate) for gate in gates]
    for gate in gates:
        await gate.begun.wait()
    await board.close()
    assert all(gate.cleaned_up for gate in gates)
    assert {board.job(job.id).state for job in started} == {JobState.CANCELLED}
    with pytest.raises(NotReadyError):
        board.start("image", "Build", Gate())


# --- events


async def test_a_viewer_from_the_start_sees_every_line_and_the_end(board: JobBoard) -> None:
    async def work(job: JobContext) -> None:
        job("one")
        await asyncio.sleep(0)
        job("two\nthree", 0.5)
        job.step("packing")

    assert await lines(board, board.start("image", "Build", work)) == [
        "Build ...",
        "one",
        "two",
        "three",
        "packing",
        "done",
    ]


async def test_events_carry_the_job_as_it_then_was(board: JobBoard) -> None:
    async def work(job: JobContext) -> None:
        job("half", 0.5)
        job.step("packing")

    events = await followed(board, board.start("image", "Build", work))
    assert [(event.line, event.job.fraction, event.job.step, event.job.state) for event in events[1:]] == [
        ("half", 0.5, "", JobState.RUNNING),
        ("packing", 0.5, "packing", JobState.RUNNING),
        ("done", 1.0, "", JobState.DONE),
    ]


@pytest.mark.parametrize(("told", "kept"), [(-3.0, 0.0), (7.0, 1.0)])
async def test_a_fraction_beyond_the_whole_is_clipped(board: JobBoard, told: float, kept: float) -> None:
    async def work(job: JobContext) -> None:
        job("odd", told)

    events = await followed(board, board.start("image", "Build", work))
    assert events[1].job.fraction == kept


async def test_a_viewer_who_comes_back_sees_each_event_once(board: JobBoard) -> None:
    gate = Gate()

    async def work(job: JobContext) -> None:
        job("one")
        await gate(job)
        job("two")

    job = board.start("image", "Build", work)
    seen: list[JobEvent] = []
    async for event in board.events(job.id):
        seen.append(event)
        if event.line == "one":
            break
    gate.open.set()
    seen += await followed(board, job, after=seen[-1].seq)
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    assert [event.line for event in seen] == ["Build ...", "one", "two", "done"]


async def test_all_viewers_see_the_same(board: JobBoard) -> None:
    gate = Gate()

    async def work(job: JobContext) -> None:
        await gate(job)
        for number in range(50):
            job(str(number))
            await asyncio.sleep(0)

    job = board.start("image", "Build", work)
    viewers = [asyncio.create_task(followed(board, job)) for _ in range(3)]
    gate.open.set()
    first, *others = await asyncio.gather(*viewers)
    assert len(first) == 52
    assert all(other == first for other in others)


async def test_an_ended_job_is_replayed_to_a_late_viewer(board: JobBoard) -> None:
    async def work(job: JobContext) -> None:
        job("one")

    job = await board.wait(board.start("image", "Build", work).id)
    assert await lines(board, job) == ["Build ...", "one", "done"]


async def test_the_log_of_a_talkative_job_is_bounded_and_shows_its_gap(board: JobBoard) -> None:
    async def work(job: JobContext) -> None:
        for number in range(MAX_EVENTS * 2):
            job(f"{number} {'x' * MAX_LINE}")

    job = await board.wait(board.start("image", "Build", work).id)
    events = await followed(board, job)
    assert len(events) == MAX_EVENTS
    assert events[0].seq > 1
    assert max(len(event.line or "") for event in events) == MAX_LINE


async def test_work_may_report_from_a_thread(board: JobBoard) -> None:
    async def work(job: JobContext) -> None:
        def in_thread() -> None:
            for number in range(20):
                job(str(number))

        await asyncio.to_thread(in_thread)

    told = await lines(board, board.start("image", "Build", work))
    assert told[1:-1] == [str(number) for number in range(20)]


# --- turns


async def test_jobs_with_one_key_take_turns_and_say_for_whom_they_wait(board: JobBoard) -> None:
    first, second = Gate("first"), Gate("second")
    board.start("image", "Build A", first, exclusive_key="store")
    two = board.start("image", "Build B", second, exclusive_key="store")
    await first.begun.wait()
    async for event in board.events(two.id):
        if event.line == "waiting for Build A":
            break
    assert board.job(two.id).step == "waiting for Build A"
    assert not second.begun.is_set()
    first.open.set()
    await second.begun.wait()
    assert first.cleaned_up
    assert board.job(two.id).step == ""
    second.open.set()
    assert (await board.wait(two.id)).result == "second"


async def test_whose_turn_it_is_can_be_asked(board: JobBoard) -> None:
    gate = Gate()
    job = board.start("image", "Build", gate, exclusive_key="store")
    await gate.begun.wait()
    holder = board.holder("store")
    assert (holder and holder.id, board.holder("other")) == (job.id, None)
    gate.open.set()
    await board.wait(job.id)
    assert board.holder("store") is None


async def test_jobs_with_other_keys_do_not_wait(board: JobBoard) -> None:
    gates = [Gate(), Gate(), Gate()]
    for key, gate in zip(("a", "b", None), gates, strict=True):
        board.start("image", "Build", gate, exclusive_key=key)
    async with asyncio.timeout(10):
        for gate in gates:
            await gate.begun.wait()


async def test_a_turn_is_passed_on_by_failure_and_by_cancellation_of_holder_and_waiter(board: JobBoard) -> None:
    holder, waiter, last = Gate(), Gate(), Gate("made")
    started = [board.start("image", "Build", gate, exclusive_key="store") for gate in (holder, waiter, last)]
    await holder.begun.wait()
    await board.cancel(started[1].id)
    await board.cancel(started[0].id)
    last.open.set()
    assert (await asyncio.wait_for(board.wait(started[2].id), 10)).result == "made"
    assert not waiter.begun.is_set()


async def test_work_takes_a_further_turn_once_it_knows_for_what(board: JobBoard) -> None:
    gate = Gate()

    async def work(job: JobContext) -> str:
        async with board.turn(job, "image"):
            holder = board.holder("image")
            return holder.title if holder else ""

    board.start("image", "Build", gate, exclusive_key="image")
    await gate.begun.wait()
    job = board.start("download", "Download", work, exclusive_key="snapshot")
    async for event in board.events(job.id):
        if event.line == "waiting for Build":
            break
    gate.open.set()
    assert (await board.wait(job.id)).result == "Download"
    assert board.holder("image") is None


# --- again


async def test_a_failed_and_a_cancelled_job_can_be_done_once_more(board: JobBoard) -> None:
    tries: list[str] = []

    async def work(job: JobContext) -> str:
        tries.append(job.job_id)
        if len(tries) == 1:
            raise NotReadyError("the disk is full")
        return "made"

    failed = await board.wait(board.start("image", "Build", work).id)
    assert failed.retryable
    again = board.retry(failed.id)
    assert (again.title, again.kind, again.retry_of) == ("Build", "image", failed.id)
    assert (await board.wait(again.id)).result == "made"
    assert tries == [failed.id, again.id]
    assert (await board.cancel(board.start("image", "Build", Gate()).id)).retryable


async def test_a_job_done_once_more_takes_its_turn_as_the_first_did(board: JobBoard) -> None:
    gates = [Gate(), Gate()]
    first = await board.cancel(board.start("image", "A", gates[0], exclusive_key="store").id)
    board.start("image", "B", gates[1], exclusive_key="store")
    await gates[1].begun.wait()
    again = board.retry(first.id)
    async for event in board.events(again.id):
        if event.line == "waiting for B":
            break
    assert board.job(again.id).step == "waiting for B"


async def test_what_runs_or_is_done_is_not_done_once_more(board: JobBoard) -> None:
    gate = Gate("made")
    job = board.start("image", "Build", gate)
    with pytest.raises(ConflictError, match="still runs"):
        board.retry(job.id)
    gate.open.set()
    assert not (await board.wait(job.id)).retryable
    with pytest.raises(ConflictError, match="it is done"):
        board.retry(job.id)


# --- what is kept


async def test_jobs_are_listed_newest_first(board: JobBoard) -> None:
    async def work(_job: JobContext) -> None:
        pass

    started = [board.start("image", title, work) for title in ("A", "B", "C")]
    assert [job.title for job in board.jobs()] == ["C", "B", "A"]
    for job in started:
        await board.wait(job.id)


async def test_only_the_latest_ended_jobs_are_kept_and_running_ones_always(
    board: JobBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards, "MAX_FINISHED", 3)

    async def work(_job: JobContext) -> None:
        pass

    gate = Gate()
    running = board.start("image", "long", gate)
    ended = [(await board.wait(board.start("image", str(number), work).id)).id for number in range(5)]
    assert [job.id for job in board.jobs()] == [*reversed(ended[-3:]), running.id]
    with pytest.raises(NotFoundError):
        board.job(ended[0])
    gate.open.set()
    await board.wait(running.id)
    assert running.id in {job.id for job in board.jobs()}  # though it began before all the others


async def test_an_unknown_job_is_not_found(board: JobBoard) -> None:
    with pytest.raises(NotFoundError):
        await board.cancel("none")
    with pytest.raises(NotFoundError):
        _ = [event async for event in board.events("none")]
