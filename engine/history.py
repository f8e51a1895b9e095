"""What ran here and how long it took: one SQLite file with a row per run and per job.

It keeps figures, never the code, its input, output or environment. Writing it must not break a run that has
succeeded: what can't be written is logged and counted, while opening and reading raise NotReadyError.
One thread owns the connection, so that no disk wait stops the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

from pydantic import ValidationError

from engine.errors import NotReadyError
from engine.models import Job, Percentiles, RunEntry, Stage, Value

SCHEMA_VERSION = 1
MAX_ROWS = 100_000
_LOCK_WAIT_S = 2.0
_RESTORES_KEPT = 20

log = logging.getLogger(__name__)
T = TypeVar("T")
V = TypeVar("V", bound=Value)


_SCHEMA = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    trace_id TEXT NOT NULL,
    language TEXT NOT NULL,
    outcome TEXT NOT NULL,
    entry TEXT NOT NULL
);
CREATE INDEX runs_by_time ON runs (at);
CREATE INDEX runs_by_trace ON runs (trace_id);
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    job_id TEXT NOT NULL,
    entry TEXT NOT NULL
);
"""


class ImageUsage(NamedTuple):
    runs: int
    proven: datetime | None
    """When code last ran in it with success."""


class SnapshotUsage(NamedTuple):
    runs: int
    last_used: datetime | None
    restore_ms: tuple[float, ...]
    """Of its last restores, newest first."""


class History:
    """The open file. Close it, or use it as an async context manager."""

    def __init__(self, path: Path, *, max_rows: int = MAX_ROWS, lock_wait_s: float = _LOCK_WAIT_S) -> None:
        self._path = path
        self._max_rows = max_rows
        self._lock_wait_s = lock_wait_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history")
        self._connection: sqlite3.Connection | None = None  # touched by the thread only
        self._closed = False
        self.dropped = 0  # rows that could not be written

    async def open(self) -> History:
        """Make the file, or check the one that is there. Raises NotReadyError with what to do about it."""
        opened = False
        try:
            await self._call(self._connect)
            opened = True
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None
        finally:
            if not opened:
                self._end_thread()
        return self

    async def close(self) -> None:
        """Idempotent. Returns when all that was handed in is written."""
        if not self._closed:
            await asyncio.shield(asyncio.wrap_future(self._end_thread()))

    async def __aenter__(self) -> History:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def record_run(self, entry: RunEntry) -> None:
        """Never raises for the file's sake: what can't be written is logged and counted in ``dropped``."""
        row = (entry.at.timestamp(), entry.trace_id, entry.language, entry.outcome, entry.model_dump_json())
        await self._write(
            "runs", "INSERT INTO runs (at, trace_id, language, outcome, entry) VALUES (?, ?, ?, ?, ?)", row
        )

    async def record_job(self, job: Job) -> None:
        """A job that has ended. Never raises for the file's sake, as ``record_run``."""
        row = (job.started.timestamp(), job.id, job.model_dump_json())
        await self._write("jobs", "INSERT INTO jobs (at, job_id, entry) VALUES (?, ?, ?)", row)

    async def runs(
        self, limit: int = 100, *, language: str | None = None, trace_id: str | None = None
    ) -> list[RunEntry]:
        """The newest first. Raises NotReadyError."""
        where, values = _where(language=language, trace_id=trace_id)
        query = f"SELECT entry FROM runs{where} ORDER BY id DESC LIMIT ?"  # noqa: S608 names of ours
        return await self._entries(RunEntry, query, (*values, limit))

    async def jobs(self, limit: int = 100) -> list[Job]:
        """The newest first. Raises NotReadyError."""
        return await self._entries(Job, "SELECT entry FROM jobs ORDER BY id DESC LIMIT ?", (limit,))

    async def percentiles(
        self, stage: Stage = "total", *, language: str | None = None, outcome: str | None = None, last: int = 10_000
    ) -> Percentiles:
        """Of ``stage`` over the newest ``last`` runs that match; those without that stage count for nothing.

        Raises NotReadyError.
        """
        where, values = _where(language=language, outcome=outcome)
        query = f"SELECT json_extract(entry, ?) FROM runs{where} ORDER BY id DESC LIMIT ?"  # noqa: S608 names of ours
        rows = await self._read(query, (f"$.timings.{stage}", *values, last))
        return _percentiles([float(row[0]) for row in rows if isinstance(row[0], int | float)])

    async def image_usage(self) -> dict[str, ImageUsage]:
        """By image name. Raises NotReadyError."""
        query = (
            "SELECT json_extract(entry, '$.image') AS name, count(*), max(CASE outcome WHEN 'success' THEN at END) "
            "FROM runs WHERE name IS NOT NULL GROUP BY name"
        )
        return {str(name): ImageUsage(_count(runs), _moment(at)) for name, runs, at in await self._read(query, ())}

    async def snapshot_usage(self) -> dict[str, SnapshotUsage]:
        """By snapshot name. Raises NotReadyError."""
        query = (
            "SELECT json_extract(entry, '$.snapshot') AS name, at, json_extract(entry, '$.timings.restore') "
            "FROM runs WHERE name IS NOT NULL ORDER BY id DESC"
        )
        usage: dict[str, SnapshotUsage] = {}
        for name, at, restore in await self._read(query, ()):
            known = usage.get(str(name), SnapshotUsage(0, _moment(at), ()))
            further = (float(restore),) if isinstance(restore, int | float) else ()
            kept = (known.restore_ms + further)[:_RESTORES_KEPT]
            usage[str(name)] = SnapshotUsage(known.runs + 1, known.last_used, kept)
        return usage

    async def _entries(self, kind: type[V], query: str, values: tuple[object, ...]) -> list[V]:
        try:
            return [kind.model_validate_json(str(row[0])) for row in await self._read(query, values)]
        except ValidationError as error:
            raise self._unusable(error) from None

    async def _write(self, table: Literal["runs", "jobs"], query: str, row: tuple[object, ...]) -> None:
        prune = f"DELETE FROM {table} WHERE id <= (SELECT max(id) FROM {table}) - ?"  # noqa: S608 names of ours

        def write() -> None:
            connection = self._opened()
            with connection:  # one transaction, rolled back where it fails
                connection.execute(query, row)
                connection.execute(prune, (self._max_rows,))

        try:
            await self._call(write)
        except sqlite3.Error as error:
            self.dropped += 1
            log.warning("history of %s not written to %s: %s", table, self._path, error)

    async def _read(self, query: str, values: tuple[object, ...]) -> list[tuple[object, ...]]:
        try:
            return await self._call(lambda: self._opened().execute(query, values).fetchall())
        except sqlite3.Error as error:
            raise self._unusable(error) from None

    def _connect(self) -> None:
        self._connection = _connect(self._path, self._lock_wait_s)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _end_thread(self) -> Future[None]:
        """Let the thread finish what it has, close the file and end; nothing more is taken."""
        self._closed = True
        last = self._thread.submit(self._disconnect)
        self._thread.shutdown(wait=False)
        return last

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("history is not open")
        return self._connection

    async def _call(self, function: Callable[[], T]) -> T:
        if self._closed:
            raise sqlite3.ProgrammingError("history is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    def _unusable(self, error: Exception) -> NotReadyError:
        return NotReadyError(
            f"History can't be used: {self._path}: {error}",
            remedy=f"End other programs that hold it, or move {self._path} away; a new one is made.",
        )


def _connect(path: Path, lock_wait_s: float) -> sqlite3.Connection:
    """Open and, where it is new, lay it out. Raises sqlite3.Error, OSError, NotReadyError for a newer layout."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # SQLite's own files take this mode over
    connection = sqlite3.connect(path, timeout=lock_wait_s, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")  # two engines that start at once must not both lay it out
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > SCHEMA_VERSION:
            raise NotReadyError(
                f"History {path} has layout {version}, this vmdeck knows up to {SCHEMA_VERSION}",
                remedy=f"Use the newer vmdeck that wrote it, or move {path} away; a new one is made.",
            )
        if version == 0:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0


def _moment(value: object) -> datetime | None:
    return datetime.fromtimestamp(value, UTC) if isinstance(value, int | float) else None


def _where(**wanted: str | None) -> tuple[str, tuple[str, ...]]:
    """A WHERE clause for the columns that are asked for, and its values."""
    chosen = {column: value for column, value in wanted.items() if value is not None}
    clause = " AND ".join(f"{column} = ?" for column in chosen)
    return (f" WHERE {clause}" if clause else ""), tuple(chosen.values())


def _percentiles(values: list[float]) -> Percentiles:
    if not values:
        return Percentiles(count=0)
    ranked = sorted(values)
    p50, p90, p95, p99 = (ranked[ceil(len(ranked) * part / 100) - 1] for part in (50, 90, 95, 99))
    return Percentiles(count=len(ranked), p50=p50, p90=p90, p95=p95, p99=p99)
