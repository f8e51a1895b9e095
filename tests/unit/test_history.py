"""History keeps figures and no secrets, and its trouble never becomes a run's."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.errors import NotReadyError
from engine.history import SCHEMA_VERSION, History, ImageUsage, SnapshotUsage
from engine.models import (
    Percentiles,
    RunEntry,
    RunQuery,
    RunRequest,
    RunResult,
    RunStats,
    Timings,
    Usage,
    VmRef,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.db"


@pytest.fixture
async def history(path: Path) -> AsyncIterator[History]:
    async with History(path, max_rows=50, lock_wait_s=0.05) as opened:
        yield opened


def entry(number: int = 0, *, total_ms: float = 1.0, **changes: object) -> RunEntry:
    values: dict[str, object] = {
        "trace_id": f"trace-{number}",
        "at": START + timedelta(seconds=number),
        "language": "python",
        "outcome": "success",
        "exit_code": 0,
        "caller": "cli",
        "timings": Timings(total=total_ms, first_output=None),
    }
    return RunEntry.model_validate(values | changes)


async def traces(history: History, **asked: object) -> list[str]:
    return [run.trace_id for run in await history.runs(RunQuery.model_validate(asked))]


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
    await history.record_run(entry(1, vm_id="vm", image="i", snapshot="s", error="e"))
    assert await history.runs(RunQuery()) == [entry(1, id=1, vm_id="vm", image="i", snapshot="s", error="e")]


async def test_the_newest_come_first_and_as_many_as_asked_for(history: History) -> None:
    for number in range(5):
        await history.record_run(entry(number))
    assert await traces(history, limit=2) == ["trace-4", "trace-3"]


FILTERS: dict[str, tuple[dict[str, object], list[str]]] = {
    "language": ({"language": "bash"}, ["trace-2"]),
    "outcome": ({"outcome": "timeout"}, ["trace-3"]),
    "all other outcomes": ({"outcome": "!success"}, ["trace-4", "trace-3"]),
    "caller": ({"caller": "http"}, ["trace-4", "trace-1"]),
    "trace": ({"trace_id": "trace-1"}, ["trace-1"]),
    "how a trace begins": ({"trace_id": "trac"}, ["trace-4", "trace-3", "trace-2", "trace-1", "trace-0"]),
    "signs are no wildcards": ({"trace_id": "%"}, []),
    "since": ({"since": START + timedelta(seconds=3)}, ["trace-4", "trace-3"]),
    "until": ({"until": START + timedelta(seconds=1)}, ["trace-1", "trace-0"]),
    "the next page": ({"before": 3, "limit": 1}, ["trace-1"]),
    "what came since": ({"after": 3}, ["trace-4", "trace-3"]),
    "all of it": (
        {"language": "python", "outcome": "!success", "caller": "http", "since": START, "before": 9, "trace_id": "t"},
        ["trace-4"],
    ),
}


@pytest.mark.parametrize(("asked", "found"), FILTERS.values(), ids=FILTERS.keys())
async def test_runs_are_found_by(history: History, asked: dict[str, object], found: list[str]) -> None:
    await history.record_run(entry(0))
    await history.record_run(entry(1, caller="http"))
    await history.record_run(entry(2, language="bash"))
    await history.record_run(entry(3, outcome="timeout"))
    await history.record_run(entry(4, outcome="busy", caller="http", timings=None))
    assert await traces(history, **asked) == found


@pytest.mark.parametrize(
    "asked", [{}, {"after": 3}, {"before": 3}, {"since": START}, {"language": "python", "trace_id": "t"}]
)
async def test_the_index_of_filters_is_read_only_where_one_of_its_columns_is_asked_for(
    history: History, path: Path, asked: dict[str, object]
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("DROP INDEX runs_by_filter")
    await traces(history, **asked)
    for column, value in {"language": "python", "outcome": "!success", "caller": "http"}.items():
        with pytest.raises(NotReadyError, match="no such index"):
            await traces(history, **{"after": 3, column: value})


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
        await history.record_run(entry(total_ms=number, at=datetime.now(UTC)))
    found = (await history.run_stats(60)).total
    assert (found.count, found.p50, found.p90, found.p95, found.p99) == (count, p50, p90, p95, p99)


async def test_figures_of_no_runs_are_none(history: History) -> None:
    found = await history.run_stats(60)
    assert (found.runs, found.per_minute, found.total.count, found.total.p50) == (0, 0, 0, None)


async def test_figures_count_the_runs_of_their_window_alone(history: History) -> None:
    now = datetime.now(UTC)
    await history.record_run(entry(at=now - timedelta(hours=2)))
    for outcome in ("success", "timeout", "busy"):
        timings = None if outcome == "busy" else Timings(total=7, restore=3)
        await history.record_run(entry(at=now, outcome=outcome, timings=timings, boot="snapshot"))
    await history.record_run(entry(at=now, timings=Timings(total=900, restore=800), boot="cold"))
    found = await history.run_stats(3600)
    assert isinstance(found, RunStats)
    assert (found.runs, found.failed, found.per_minute) == (4, 2, pytest.approx(4 / 60))
    assert (found.total.count, found.total.p50) == (3, 7)
    assert (found.restore.count, found.restore.p99) == (2, 3), "a cold boot is no restore"


async def test_figures_are_ranked_outside_of_the_loops_thread(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked: list[threading.Thread] = []

    def watched(values: Iterable[object]) -> Percentiles:
        ranked.append(threading.current_thread())
        return Percentiles(count=len(list(values)))

    monkeypatch.setattr("engine.history._percentiles", watched)
    await history.record_run(entry(at=datetime.now(UTC)))
    await history.run_stats(60)
    assert len(ranked) == 2
    assert threading.main_thread() not in ranked


async def test_an_image_is_proven_by_its_last_success(history: History) -> None:
    await history.record_run(entry(1, image="a"))
    await history.record_run(entry(2, image="a"))
    await history.record_run(entry(3, image="a", outcome="failed"))
    await history.record_run(entry(4, image="b", outcome="failed"))
    await history.record_run(entry(5))
    assert await history.image_usage({"a": START, "b": START, "unused": START}) == {
        "a": ImageUsage(runs=3, proven=START + timedelta(seconds=2)),
        "b": ImageUsage(runs=1, proven=None),
    }


async def test_a_snapshot_has_its_last_restores_and_no_more(history: History) -> None:
    for number in range(7):
        timings = Timings(restore=number, total=number)
        await history.record_run(entry(number, snapshot="s", boot="snapshot", timings=timings))
    await history.record_run(entry(8, snapshot="t", outcome="internal", timings=None))
    assert await history.snapshot_usage({"s": START, "t": START}) == {
        "s": SnapshotUsage(runs=7, last_used=START + timedelta(seconds=6), restore_ms=(6, 5, 4, 3, 2)),
        "t": SnapshotUsage(runs=1, last_used=START + timedelta(seconds=8), restore_ms=()),
    }


async def test_old_rows_are_dropped_for_new_ones(history: History) -> None:
    for number in range(60):
        await history.record_run(entry(number))
    kept = await traces(history, limit=1000)
    assert (len(kept), kept[-1]) == (50, "trace-10")


async def test_what_is_written_is_there_after_reopening(path: Path) -> None:
    async with History(path) as first:
        await first.record_run(entry(1))
    async with History(path) as second:
        assert [run.trace_id for run in await second.runs(RunQuery())] == ["trace-1"]


async def test_closing_waits_for_what_was_handed_in(path: Path) -> None:
    history = await History(path).open()
    writes = [asyncio.create_task(history.record_run(entry(number))) for number in range(20)]
    await asyncio.sleep(0)
    await history.close()
    await asyncio.gather(*writes)
    async with History(path) as again:
        assert len(await again.runs(RunQuery())) == 20


async def test_the_file_is_for_its_owner_alone(history: History, path: Path) -> None:
    await history.record_run(entry())
    assert {file.stat().st_mode & 0o077 for file in path.parent.iterdir()} == {0}


async def test_readers_do_not_wait_for_a_writer(history: History, path: Path) -> None:
    await history.record_run(entry(1))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert len(await history.runs(RunQuery())) == 1


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
    with pytest.raises(NotReadyError, match=f"layout {SCHEMA_VERSION + 1}") as caught:
        await History(path).open()
    assert "newer vmdeck" in caught.value.remedy


OLD_LAYOUT = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, trace_id TEXT NOT NULL, language TEXT NOT NULL,
    outcome TEXT NOT NULL, entry TEXT NOT NULL
);
CREATE INDEX runs_by_time ON runs (at);
CREATE INDEX runs_by_trace ON runs (trace_id);
CREATE TABLE jobs (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, job_id TEXT NOT NULL, entry TEXT NOT NULL);
PRAGMA user_version = 1;
"""
"""As vmdeck 0.1.0 made it."""


async def test_a_file_of_an_older_vmdeck_keeps_its_rows_and_can_be_asked_as_a_new_one(path: Path) -> None:
    path.parent.mkdir()
    now = datetime.now(UTC)
    new_keys = {"id", "vm_id", "image", "snapshot", "error"}
    runs = [
        entry(1, at=now, caller="http", boot="snapshot", timings=Timings(total=7, restore=3)),
        entry(2, at=now, outcome="busy", timings=None),
    ]
    with closing(sqlite3.connect(path)) as old:
        old.executescript(OLD_LAYOUT)
        for run in runs:
            row = (run.at.timestamp(), run.trace_id, run.language, run.outcome, run.model_dump_json(exclude=new_keys))
            old.execute("INSERT INTO runs (at, trace_id, language, outcome, entry) VALUES (?, ?, ?, ?, ?)", row)
        old.execute("INSERT INTO jobs (at, job_id, entry) VALUES (1, 'job-1', '{}')")
        old.commit()
    async with History(path) as history:
        assert await history.runs(RunQuery()) == [
            run.model_copy(update={"id": at}) for at, run in ((2, runs[1]), (1, runs[0]))
        ]
        assert await traces(history, caller="http") == ["trace-1"]
        assert (await history.run_stats(60)).restore.p50 == 3
        await history.record_run(entry(3))
    with closing(sqlite3.connect(path)) as now_ours:
        tables = now_ours.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'jobs'").fetchall()
    assert tables == [], "jobs have files of their own"
    async with History(path) as again:
        assert await traces(again) == ["trace-3", "trace-2", "trace-1"]


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
    assert [run.trace_id for run in await history.runs(RunQuery())] == ["trace-2"]


async def test_a_closed_history_drops_writes_and_refuses_reads(history: History) -> None:
    await history.close()
    await history.close()
    await history.record_run(entry())
    assert history.dropped == 1
    with pytest.raises(NotReadyError, match="closed"):
        await history.runs(RunQuery())


async def test_a_row_that_is_not_ours_is_an_error_with_the_file_named(history: History, path: Path) -> None:
    await history.record_run(entry())
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("UPDATE runs SET entry = '{}'")
    with pytest.raises(NotReadyError, match=r"history\.db"):
        await history.runs(RunQuery())


async def test_a_slow_disk_does_not_stop_the_loop(history: History, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(history.record_run(entry()))
        await asyncio.sleep(0)
        assert not writing.done()  # the lock is still being waited for, and this line is reached
        await writing
