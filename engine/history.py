"""What ran here and how long it took: one SQLite file with a row per run.

It keeps figures, never the code, its input, output or environment. Writing it must not break a run that has
succeeded: what can't be written is logged and counted, while opening and reading raise NotReadyError.
One thread owns the connection, so that no disk wait stops the event loop. An entry is kept as JSON, in which the model
may gain fields; what is searched, sorted or counted has a column beside it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from engine.errors import NotReadyError
from engine.models import Percentiles, Proof, RunEntry, RunQuery, RunStats, Value

MAX_ROWS = 100_000
LAST_RESTORES = 5
_LOCK_WAIT_S = 2.0
_LAST_CHARACTER = "\U0010ffff"

log = logging.getLogger(__name__)
T = TypeVar("T")
V = TypeVar("V", bound=Value)
Row = tuple[object, ...]

_LAYOUTS = (
    """
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
    )
    """,
    """
    ALTER TABLE runs ADD COLUMN caller TEXT;
    ALTER TABLE runs ADD COLUMN image TEXT;
    ALTER TABLE runs ADD COLUMN snapshot TEXT;
    ALTER TABLE runs ADD COLUMN total_ms REAL;
    ALTER TABLE runs ADD COLUMN restore_ms REAL;
    UPDATE runs SET
        caller = json_extract(entry, '$.caller'),
        image = json_extract(entry, '$.image'),
        snapshot = json_extract(entry, '$.snapshot'),
        total_ms = json_extract(entry, '$.timings.total'),
        restore_ms = iif(json_extract(entry, '$.boot') <> 'cold', json_extract(entry, '$.timings.restore'), NULL);
    DROP INDEX runs_by_time;
    CREATE INDEX runs_by_time ON runs (at, outcome, total_ms, restore_ms);
    CREATE INDEX runs_by_filter ON runs (language, outcome, caller, at);
    CREATE INDEX runs_by_image ON runs (image, outcome) WHERE image IS NOT NULL;
    CREATE INDEX runs_by_snapshot ON runs (snapshot) WHERE snapshot IS NOT NULL
    """,
    """
    DROP TABLE jobs;
    DROP INDEX runs_by_image;
    DROP INDEX runs_by_snapshot;
    CREATE INDEX runs_by_image ON runs (image, at, total_ms, outcome) WHERE image IS NOT NULL;
    CREATE INDEX runs_by_snapshot ON runs (snapshot, at, total_ms, restore_ms) WHERE snapshot IS NOT NULL
    """,
)
"""Statements that lead from each layout to the next; a new file goes through all of them."""
SCHEMA_VERSION = len(_LAYOUTS)
# Rows have the end of a run; the index finds those that ended after, which are a few more.
_BEGAN_AFTER = "AND at >= ? AND at - ifnull(total_ms, 0) / 1000 >= ?"
_RUN_COLUMNS = (
    "at",
    "trace_id",
    "language",
    "outcome",
    "entry",
    "caller",
    "image",
    "snapshot",
    "total_ms",
    "restore_ms",
)


@dataclass(frozen=True, slots=True)
class ImageUsage:
    """How many runs used an image, and when the last of them succeeded."""

    runs: int
    proven: datetime | None


@dataclass(frozen=True, slots=True)
class SnapshotUsage:
    """How many runs a snapshot served, when last, and its last restores, newest first."""

    runs: int
    last_used: datetime
    restore_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ProofQuery:
    """A language by all its names, its id first, and the image that serves it, with when that was made."""

    names: tuple[str, ...]
    image: str
    created: datetime


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
        timings = entry.timings
        row = (
            entry.at.timestamp(),
            entry.trace_id,
            entry.language,
            entry.outcome,
            entry.model_dump_json(exclude={"id"}),
            entry.caller,
            entry.image,
            entry.snapshot,
            timings.total if timings else None,
            timings.restore if timings and entry.boot != "cold" else None,
        )
        places = ", ".join("?" for _ in row)
        await self._write(f"INSERT INTO runs ({', '.join(_RUN_COLUMNS)}) VALUES ({places})", row)  # noqa: S608

    async def runs(self, asked: RunQuery) -> list[RunEntry]:
        """The newest first, each with its ``id``. Raises NotReadyError."""
        where, values = _where(asked)
        source = f"runs{_index(asked)}"
        wanted = f"SELECT id FROM {source}{where} ORDER BY id DESC LIMIT ?"  # noqa: S608 names of ours
        query = f"SELECT id, entry FROM runs WHERE id IN ({wanted}) ORDER BY id DESC"  # noqa: S608 names of ours
        rows = await self._entries(RunEntry, query, (*values, asked.limit))
        return [entry.model_copy(update={"id": row}) for row, entry in rows]

    async def run_stats(self, window_s: float) -> RunStats:
        """Over the runs of the last ``window_s`` seconds. Restores are those of snapshots, not cold boots.

        Raises NotReadyError.
        """
        since = datetime.now(UTC).timestamp() - window_s
        query = "SELECT outcome, total_ms, restore_ms FROM runs WHERE at >= ?"

        def look(file: sqlite3.Connection) -> RunStats:
            rows = file.execute(query, (since,)).fetchall()
            return RunStats(
                window_s=window_s,
                runs=len(rows),
                failed=sum(row[0] != "success" for row in rows),
                per_minute=len(rows) * 60 / window_s,
                total=_percentiles(row[1] for row in rows),
                restore=_percentiles(row[2] for row in rows),
            )

        return await self._look(look)

    async def image_usage(self, made: Mapping[str, datetime]) -> dict[str, ImageUsage]:
        """By name of the image, where any run is known that began after the one there now was ``made``.

        Raises NotReadyError.
        """
        query = f"SELECT count(*), max(iif(outcome = 'success', at, NULL)) FROM runs WHERE image = ? {_BEGAN_AFTER}"  # noqa: S608 names of ours

        def look(file: sqlite3.Connection) -> dict[str, ImageUsage]:
            found: dict[str, ImageUsage] = {}
            for name, created in made.items():
                runs, proven = file.execute(query, _since(name, created)).fetchone()
                if runs:
                    found[name] = ImageUsage(runs, proven and datetime.fromtimestamp(proven, UTC))
            return found

        return await self._look(look)

    async def proofs(self, asked: Sequence[ProofQuery]) -> dict[str, Proof]:
        """The last success of each language in its image, by the language's id, where there is one.

        Raises NotReadyError.
        """
        query = f"""SELECT at, json_extract(entry, '$.vmm') FROM runs WHERE image = ? {_BEGAN_AFTER}
            AND outcome = 'success' AND language IN (SELECT value FROM json_each(?)) ORDER BY at DESC LIMIT 1"""  # noqa: S608 names of ours

        def look(file: sqlite3.Connection) -> dict[str, Proof]:
            found: dict[str, Proof] = {}
            for each in asked:
                row = file.execute(query, (*_since(each.image, each.created), json.dumps(each.names))).fetchone()
                if row is not None:
                    found[each.names[0]] = Proof(vmm=str(row[1]), date=datetime.fromtimestamp(row[0], UTC))
            return found

        return await self._look(look)

    async def snapshot_usage(self, made: Mapping[str, datetime]) -> dict[str, SnapshotUsage]:
        """By name of the snapshot, where any run is known that began after the one there now was ``made``.

        Raises NotReadyError.
        """
        source = f"FROM runs WHERE snapshot = ? {_BEGAN_AFTER}"
        totals = f"SELECT count(*), max(at) {source}"
        newest = f"SELECT restore_ms {source} AND restore_ms IS NOT NULL ORDER BY at DESC LIMIT ?"

        def look(file: sqlite3.Connection) -> dict[str, SnapshotUsage]:
            found: dict[str, SnapshotUsage] = {}
            for name, created in made.items():
                since = _since(name, created)
                runs, last = file.execute(totals, since).fetchone()
                if runs:
                    restores = file.execute(newest, (*since, LAST_RESTORES)).fetchall()
                    found[name] = SnapshotUsage(
                        runs, datetime.fromtimestamp(last, UTC), tuple(float(row[0]) for row in restores)
                    )
            return found

        return await self._look(look)

    async def _entries(self, kind: type[V], query: str, values: Row) -> list[tuple[object, V]]:
        """Rows of (id, entry)."""

        def look(file: sqlite3.Connection) -> list[tuple[object, V]]:
            return [(row[0], kind.model_validate_json(str(row[1]))) for row in file.execute(query, values)]

        return await self._look(look)

    async def _write(self, query: str, row: Row) -> None:
        def write() -> None:
            connection = self._opened()
            with connection:  # one transaction, rolled back where it fails
                connection.execute(query, row)
                connection.execute("DELETE FROM runs WHERE id <= (SELECT max(id) FROM runs) - ?", (self._max_rows,))

        try:
            await self._call(write)
        except sqlite3.Error as error:
            self.dropped += 1
            log.warning("history of runs not written to %s: %s", self._path, error)

    async def _look(self, look: Callable[[sqlite3.Connection], T]) -> T:
        """What ``look`` finds, all of it done in the thread: there may be a hundred thousand rows to read and count."""
        try:
            return await self._call(lambda: look(self._opened()))
        except (sqlite3.Error, ValidationError) as error:
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
    """Open, and lay out what is new or of an older vmdeck. Raises sqlite3.Error, OSError, NotReadyError if newer."""
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
        for layout in _LAYOUTS[version:]:
            for statement in layout.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.commit()
    except BaseException:
        connection.close()
        raise
    return connection


def _since(name: str, made: datetime) -> Row:
    """The values for a WHERE clause with a name and _BEGAN_AFTER."""
    return (name, made.timestamp(), made.timestamp())


def _index(asked: RunQuery) -> str:
    """The index to look through, small beside the rows; left alone SQLite would read these. Pages need none."""
    if asked.trace_id is not None:
        return ""
    if any(value is not None for value in (asked.language, asked.outcome, asked.caller)):
        return " INDEXED BY runs_by_filter"
    return " INDEXED BY runs_by_time" if asked.since or asked.until else ""


def _where(asked: RunQuery) -> tuple[str, Row]:
    """A WHERE clause for what is asked, empty where that is everything, and its values."""
    outcome = asked.outcome or ""
    conditions: tuple[tuple[str, object], ...] = (
        ("language = ?", asked.language),
        ("outcome <> ?" if outcome.startswith("!") else "outcome = ?", outcome.removeprefix("!") or None),
        ("caller = ?", asked.caller),
        ("trace_id >= ?", asked.trace_id),
        ("trace_id < ?", None if asked.trace_id is None else asked.trace_id + _LAST_CHARACTER),
        ("at >= ?", asked.since.timestamp() if asked.since else None),
        ("at <= ?", asked.until.timestamp() if asked.until else None),
        ("id < ?", asked.before),
        ("id > ?", asked.after),
    )
    chosen = [(text, value) for text, value in conditions if value is not None]
    clause = " AND ".join(text for text, _ in chosen)
    return (f" WHERE {clause}" if clause else ""), tuple(value for _, value in chosen)


def _numbers(values: Iterable[object]) -> list[float]:
    return [float(value) for value in values if isinstance(value, int | float)]


def _percentiles(values: Iterable[object]) -> Percentiles:
    ranked = sorted(_numbers(values))
    if not ranked:
        return Percentiles(count=0)
    p50, p90, p95, p99 = (ranked[ceil(len(ranked) * part / 100) - 1] for part in (50, 90, 95, 99))
    return Percentiles(count=len(ranked), p50=p50, p90=p90, p95=p95, p99=p99)
