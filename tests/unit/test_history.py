"""History keeps figures and no secrets, and its trouble never becomes a run's."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.errors import NotReadyError
from engine.history import SCHEMA_VERSION, History
from engine.models import Job, JobState, RunEntry, RunRequest, RunResult, Timings, Usage, VmRef

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.db"


@pytest.fixture
async def history(path: Path) -> AsyncIterator[History]:
    async with History(path, max_rows=50, lock_wait_s=0.05) as opened:
        yield opened


def entry(number: int = 0, *, total_ms: float = 1.0, language: str = "python", outcome: str = "success") -> RunEntry:
    return RunEntry(
        trace_id=f"trace-{number}",
        at=START + timedelta(seconds=number),
        language=language,
        outcome=outcome,
        exit_code=0,
        caller="cli",
        timings=Timings(total=total_ms, first_output=None),
    )


def job(number: int = 0) -> Job:
    return Job(id=f"job-{number}", kind="image", title="Build", state=JobState.DONE, started=START, error="e")


RESULT = RunResult(
    trace_id="trace",
    status="failed",
    stdout="secret out",
    stderr="ü",
    exit_code=3,
    exec_time="5ms",
    exec_time_ms=5,
    timings=Timings(exec=5, total=9, first_output=7),
    boot="snapshot",
    usage=Usage(cpu_ms=4, peak_memory_bytes=1000),
    vm=VmRef(id="vm", vmm="qemu"),
)
REQUEST = RunRequest(
    language="python", code="print('secret code')", env={"TOKEN": "secret-env"}, stdin="secret in", args=("secret-arg",)
)


async def test_a_run_comes_back_as_it_was_recorded(history: History) -> None:
    await history.record_run(entry(1))
    assert await history.runs() == [entry(1)]


async def test_a_job_comes_back_as_it_was_recorded(history: History) -> None:
    await history.record_job(job(1))
    assert await history.jobs() == [job(1)]


async def test_the_newest_come_first_and_as_many_as_asked_for(history: History) -> None:
    for number in range(5):
        await history.record_run(entry(number))
        await history.record_job(job(number))
    assert [run.trace_id for run in await history.runs(2)] == ["trace-4", "trace-3"]
    assert [found.id for found in await history.jobs(2)] == ["job-4", "job-3"]


async def test_runs_are_found_by_language_and_trace(history: History) -> None:
    await history.record_run(entry(1))
    await history.record_run(entry(2, language="bash"))
    assert [run.trace_id for run in await history.runs(language="bash")] == ["trace-2"]
    assert [run.language for run in await history.runs(trace_id="trace-1")] == ["python"]
    assert await history.runs(language="bash", trace_id="trace-1") == []


async def test_nothing_of_what_ran_gets_into_the_file(history: History, path: Path) -> None:
    await history.record_run(RunEntry.of(REQUEST, RESULT, caller="http"))
    await history.record_run(RunEntry.failed(REQUEST, "trace", "busy", caller="http"))
    await history.close()
    assert b"secret" not in b"".join(file.read_bytes() for file in path.parent.iterdir())


def test_an_entry_holds_the_figures_of_its_run() -> None:
    made = RunEntry.of(REQUEST, RESULT, caller="http")
    assert (made.outcome, made.exit_code, made.boot, made.vmm, made.caller) == ("failed", 3, "snapshot", "qemu", "http")
    assert made.timings == RESULT.timings
    assert (made.cpu_ms, made.peak_memory_bytes) == (4, 1000)
    assert (made.code_bytes, made.stdin_bytes, made.stdout_bytes, made.stderr_bytes) == (20, 9, 10, 2)


def test_an_entry_of_a_batch_counts_its_own_input() -> None:
    batch = REQUEST.model_copy(update={"stdin": ("a", "bcd")})
    assert RunEntry.of(batch, RESULT, caller="cli", item=1).stdin_bytes == 3
    assert RunEntry.failed(REQUEST.model_copy(update={"stdin": None}), "t", "busy", caller="cli").stdin_bytes == 0


@pytest.mark.parametrize(
    ("count", "p50", "p90", "p95", "p99"), [(1, 1, 1, 1, 1), (10, 5, 9, 10, 10), (40, 20, 36, 38, 40)]
)
async def test_percentiles_are_by_nearest_rank(
    history: History, count: int, p50: float, p90: float, p95: float, p99: float
) -> None:
    for number in range(count, 0, -1):
        await history.record_run(entry(number, total_ms=number))
    found = await history.percentiles("total")
    assert (found.count, found.p50, found.p90, found.p95, found.p99) == (count, p50, p90, p95, p99)


async def test_percentiles_of_nothing_are_none(history: History) -> None:
    found = await history.percentiles("exec")
    assert (found.count, found.p50) == (0, None)


async def test_percentiles_leave_out_runs_without_that_stage(history: History) -> None:
    await history.record_run(entry(1, total_ms=5))
    await history.record_run(RunEntry.failed(REQUEST, "trace", "internal", caller="cli"))
    assert (await history.percentiles("total")).count == 1
    assert (await history.percentiles("first_output")).count == 0


async def test_percentiles_can_be_narrowed(history: History) -> None:
    await history.record_run(entry(1, total_ms=1))
    await history.record_run(entry(2, total_ms=2, language="bash"))
    await history.record_run(entry(3, total_ms=3, outcome="timeout"))
    await history.record_run(entry(4, total_ms=4))
    assert (await history.percentiles(language="bash")).p50 == 2
    assert (await history.percentiles(outcome="timeout")).p50 == 3
    assert (await history.percentiles(last=1)).p50 == 4


async def test_old_rows_are_dropped_for_new_ones(history: History) -> None:
    for number in range(60):
        await history.record_run(entry(number))
    kept = await history.runs(1000)
    assert (len(kept), kept[-1].trace_id) == (50, "trace-10")


async def test_what_is_written_is_there_after_reopening(path: Path) -> None:
    async with History(path) as first:
        await first.record_run(entry(1))
    async with History(path) as second:
        assert [run.trace_id for run in await second.runs()] == ["trace-1"]


async def test_closing_waits_for_what_was_handed_in(path: Path) -> None:
    history = await History(path).open()
    writes = [asyncio.create_task(history.record_run(entry(number))) for number in range(20)]
    await asyncio.sleep(0)
    await history.close()
    await asyncio.gather(*writes)
    async with History(path) as again:
        assert len(await again.runs()) == 20


async def test_the_file_is_for_its_owner_alone(history: History, path: Path) -> None:
    await history.record_run(entry())
    assert {file.stat().st_mode & 0o077 for file in path.parent.iterdir()} == {0}


async def test_readers_do_not_wait_for_a_writer(history: History, path: Path) -> None:
    await history.record_run(entry(1))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert len(await history.runs()) == 1


# --- trouble


@pytest.mark.parametrize("content", [b"this is no database, it only looks long enough" * 40, b"SQLite format 3\0junk"])
async def test_a_corrupt_file_is_refused_with_what_to_do(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(NotReadyError, match=r"history\.db") as caught:
        await History(path).open()
    assert "move" in caught.value.remedy
    assert path.read_bytes() == content


async def test_a_locked_file_is_refused_with_what_to_do(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(NotReadyError, match="locked"):
            await History(path, lock_wait_s=0.05).open()


async def test_a_file_of_a_newer_vmdeck_is_left_alone(path: Path) -> None:
    async with History(path):
        pass
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(NotReadyError, match="layout 2") as caught:
        await History(path).open()
    assert "newer vmdeck" in caught.value.remedy


async def test_a_folder_that_can_not_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotReadyError):
        await History(tmp_path / "file" / "history.db").open()


async def test_a_run_that_can_not_be_written_is_counted_and_logged_but_not_raised(
    history: History, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with caplog.at_level(logging.WARNING):
            await history.record_run(entry(1))
    assert history.dropped == 1
    assert "locked" in caplog.text
    await history.record_run(entry(2))
    assert [run.trace_id for run in await history.runs()] == ["trace-2"]


async def test_a_closed_history_drops_writes_and_refuses_reads(history: History) -> None:
    await history.close()
    await history.close()
    await history.record_run(entry())
    assert history.dropped == 1
    with pytest.raises(NotReadyError, match="closed"):
        await history.runs()


async def test_a_row_that_is_not_ours_is_an_error_with_the_file_named(history: History, path: Path) -> None:
    await history.record_run(entry())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("UPDATE runs SET entry = '{}'")
    with pytest.raises(NotReadyError, match=r"history\.db"):
        await history.runs()


async def test_a_slow_disk_does_not_stop_the_loop(history: History, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(history.record_run(entry()))
        await asyncio.sleep(0)
        assert not writing.done()  # the lock is still being waited for, and this line is reached
        await writing
