"""Jobs are still told of when their engine has ended, even by a kill; and a bad disk harms no job."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from io import FileIO
from pathlib import Path

import pytest
from typing_extensions import Buffer

from engine.errors import ConflictError, NotFoundError, NotReadyError
from engine.jobs import JobBoard, JobContext, files
from engine.jobs import board as boards
from engine.jobs.files import JobFiles
from engine.jobs.record import MAX_EVENTS
from engine.models import Job, JobEvent, JobState


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "jobs"


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[JobBoard]:
    board = JobBoard(files=JobFiles(folder))
    await board.open()
    try:
        yield board
    finally:
        await asyncio.wait_for(board.close(), 10)


async def followed(board: JobBoard, job: Job, after: int = 0) -> list[JobEvent]:
    async with asyncio.timeout(10):
        return [event async for event in board.events(job.id, after=after)]


async def build(job: JobContext) -> str:
    job("one\ntwo", 0.5)
    job.step("packing")
    return "the-image"


async def fail(_job: JobContext) -> None:
    raise NotReadyError("the disk is full", remedy="free some room")


async def test_a_finished_job_is_listed_with_its_log_and_result_by_the_next_engine(folder: Path) -> None:
    async with opened(folder) as first:
        done = await first.wait(first.start("image", "Build", build).id)
        failed = await first.wait(first.start("image", "Other", fail).id)
        log = await followed(first, done)
    async with opened(folder) as second:
        assert second.jobs() == [failed.model_copy(update={"retryable": False}), done]
        again = await followed(second, done)
    assert [(event.seq, event.line) for event in again] == [(event.seq, event.line) for event in log]
    assert again[-1].job == done


async def test_an_ended_job_takes_next_to_no_memory_and_its_log_is_read_from_disk(folder: Path) -> None:
    async def work(job: JobContext) -> None:
        for number in range(MAX_EVENTS):
            job(f"line {number}: " + "x" * 200, number / MAX_EVENTS)

    async with opened(folder) as board:
        await board.wait(board.start("image", "Warm up", work).id)
        gc.collect()
        tracemalloc.start()
        try:
            jobs = [board.start("image", "Build", work) for _ in range(3)]
            for job in jobs:
                await board.wait(job.id)
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] < 200_000
        finally:
            tracemalloc.stop()
        log = await followed(board, jobs[0])
        assert [event.seq for event in log] == list(range(log[0].seq, MAX_EVENTS + 3))
        assert log[-1].job == board.job(jobs[0].id)


async def test_a_slow_viewer_sees_the_end_though_it_is_on_disk_only(folder: Path) -> None:
    async with opened(folder) as board:
        job = board.start("image", "Build", fail)
        viewer = board.events(job.id)
        first = await anext(viewer)
        await board.wait(job.id)
        rest = [event async for event in viewer]
        assert [event.seq for event in (first, *rest)] == [1, 2]
        assert rest[-1].job == board.job(job.id)
        assert rest[-1].job.retryable


async def test_an_old_log_can_be_resumed(folder: Path) -> None:
    async with opened(folder) as first:
        done = await first.wait(first.start("image", "Build", build).id)
    async with opened(folder) as second:
        assert [event.line for event in await followed(second, done, after=3)] == ["packing", "done"]


async def test_an_old_job_can_be_neither_repeated_nor_changed(folder: Path) -> None:
    async with opened(folder) as first:
        failed = await first.wait(first.start("image", "Build", fail).id)
        assert failed.retryable
    async with opened(folder) as second:
        assert not second.job(failed.id).retryable
        with pytest.raises(ConflictError, match="an engine that has ended"):
            second.retry(failed.id)
        assert (await second.cancel(failed.id)).state is JobState.FAILED


async def test_a_job_whose_engine_was_killed_has_failed_and_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def work(job: JobContext) -> None:
        job("half way", 0.5)
        begun.set()
        await asyncio.Event().wait()

    async with opened(folder) as first:
        started = first.start("image", "Build", work)
        await begun.wait()
        await asyncio.wrap_future(first._files.events(started.id))  # all before it is written
        left = (folder / f"{started.id}.jsonl").read_bytes()
    (folder / f"{started.id}.jsonl").write_bytes(left + b'{"seq": 9, "at": "cut sh')
    for _ in range(2):  # and stays so
        async with opened(folder) as next_engine:
            job = next_engine.job(started.id)
            assert (job.state, job.error) == (JobState.FAILED, "The engine was killed while it ran")
            assert job.remedy is not None
            assert job.ended is not None
            lines = [event.line for event in await followed(next_engine, job)]
            assert lines == ["Build ...", "half way", "The engine was killed while it ran"]


async def test_only_the_latest_finished_jobs_stay_on_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boards, "MAX_FINISHED", 2)
    async with opened(folder) as first:
        made = [await first.wait(first.start("image", str(number), build).id) for number in range(4)]
    assert {path.stem for path in folder.iterdir()} == {job.id for job in made[-2:]}


async def test_a_log_on_disk_is_bounded_and_keeps_the_job_and_its_newest_lines(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 20_000)

    async def work(job: JobContext) -> None:
        for number in range(3000):
            job(f"line {number}")

    async with opened(folder) as first:
        done = await first.wait(first.start("image", "Build", work).id)
    assert (folder / f"{done.id}.jsonl").stat().st_size < 25_000
    async with opened(folder) as second:
        assert second.jobs() == [done]
        events = await followed(second, done)
    assert [event.line for event in events[-2:]] == ["line 2999", "done"]
    assert events[0].seq > 1


async def test_the_files_are_for_their_owner_alone(folder: Path) -> None:
    async with opened(folder) as first:
        await first.wait(first.start("image", "Build", build).id)
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())} == {0}


async def test_a_folder_that_can_not_be_written_harms_no_job(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        async with opened(tmp_path / "file" / "jobs") as board:
            done = await board.wait(board.start("image", "Build", build).id)
            assert (await followed(board, done))[-1].line == "done"
    assert done.result == "the-image"
    assert len([record for record in caplog.records if "not kept whole on disk" in record.message]) == 1


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\n", b"{}\n", b'{"seq": 1, "at": "2026-01-01T00:00:00Z"}\n'])
async def test_a_file_that_is_not_ours_is_left_alone(
    folder: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    folder.mkdir(parents=True)
    (folder / "other.jsonl").write_bytes(content)
    async with opened(folder) as board:
        assert board.jobs() == []
    assert (folder / "other.jsonl").read_bytes() == content
    assert "is left alone" in caplog.text


async def test_a_log_that_was_deleted_is_told_as_such(folder: Path) -> None:
    async with opened(folder) as first:
        done = await first.wait(first.start("image", "Build", build).id)
    async with opened(folder) as second:
        (folder / f"{done.id}.jsonl").unlink()
        with pytest.raises(NotFoundError, match="can't be read"):
            await followed(second, done)


class Disk(FileIO):
    """One on which ``room`` bytes are left, and which takes few at once."""

    room = 1 << 30
    refused = 0

    def write(self, data: Buffer, /) -> int:
        size = min(7, memoryview(data).nbytes, Disk.room)
        if not size:
            Disk.refused += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        Disk.room -= size
        return super().write(memoryview(data)[:size])


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> type[Disk]:
    monkeypatch.setattr(files, "FileIO", Disk)
    monkeypatch.setattr(Disk, "room", 1 << 30)
    monkeypatch.setattr(Disk, "refused", 0)
    return Disk


async def on_disk(board: JobBoard, job: Job) -> None:
    """All that was told of the job so far is written, or could not be."""
    assert board._files is not None
    with suppress(NotFoundError):
        await asyncio.wrap_future(board._files.events(job.id))


async def test_a_line_that_is_written_piece_by_piece_is_whole(folder: Path, disk: type[Disk]) -> None:
    async with opened(folder) as first:
        done = await first.wait(first.start("image", "Build", build).id)
    async with opened(folder) as second:
        assert second.jobs() == [done]
        assert [event.line for event in await followed(second, done)] == ["Build ...", "one", "two", "packing", "done"]


@pytest.mark.parametrize("room", [0, 10, 500])
async def test_a_disk_that_was_full_for_a_while_costs_lines_but_not_the_end(
    folder: Path, disk: type[Disk], room: int, caplog: pytest.LogCaptureFixture
) -> None:
    full, freed = asyncio.Event(), asyncio.Event()

    async def work(job: JobContext) -> str:
        job("one")
        await full.wait()
        job("lost")
        await freed.wait()
        job("two")
        return "the-image"

    disk.room = room
    async with opened(folder) as first:
        started = first.start("image", "Build", work)
        await on_disk(first, started)
        disk.room = min(disk.room, 5)
        full.set()
        await asyncio.sleep(0)
        await on_disk(first, started)
        disk.room = 1 << 30
        freed.set()
        done = await first.wait(started.id)
    assert disk.refused
    assert len(caplog.records) == 1
    async with opened(folder) as second:
        assert second.jobs() == [done]
        lines = [event.line for event in await followed(second, done)]
    assert lines[-2:] == ["two", "done"]
    assert "lost" not in lines


async def test_an_end_that_could_not_be_written_is_written_later(folder: Path, disk: type[Disk]) -> None:
    async with opened(folder) as first:
        disk.room = 400
        failed = await first.wait(first.start("image", "Build", fail).id)
        await on_disk(first, failed)
        assert disk.refused
        disk.room = 1 << 30
        done = await first.wait(first.start("image", "Other", build).id)
        await on_disk(first, done)
        files_now = {path.stem: path.read_text() for path in folder.iterdir()}
        assert "the disk is full" in files_now[failed.id]
        disk.room = 0
        last = await first.wait(first.start("image", "Last", build).id)
        await on_disk(first, last)
        disk.room = 1 << 30
    async with opened(folder) as second:
        ended = [failed.model_copy(update={"retryable": False}), done, last]
        assert second.jobs() == ended[::-1]


async def test_what_a_job_failed_of_is_cut_with_a_sign_and_can_be_written(folder: Path) -> None:
    async def work(job: JobContext) -> None:
        job.step("x" * 10_000)
        raise NotReadyError("\udcff" + "y" * 1_000_000, remedy="z" * 1_000_000)

    async with opened(folder) as first:
        failed = await first.wait(first.start("image", "Build", work).id)
    for text in (failed.error, failed.remedy):
        assert text is not None
        assert len(text) < 5000
        assert text.endswith("…")
    async with opened(folder) as second:
        assert second.jobs() == [failed.model_copy(update={"retryable": False})]
