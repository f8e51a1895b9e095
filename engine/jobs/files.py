"""Jobs on disk: a file for each with its log and its end, so that they are still told of after the engine ended.

A file has a JSON object a line: ``seq``, ``at``, ``line``, and ``job`` where the job began and where it ended. One
thread writes, in the order of what happened; the event loop never waits for it. A job is not harmed by a file that
can't be written: that is logged once, and lines of its log are missing there. How it ended is tried again, with
whatever is written next and when the engine closes, so that the next engine does not take it for killed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

from pydantic import ValidationError

from engine.errors import NotFoundError
from engine.jobs.record import MAX_EVENTS
from engine.models import Job, JobEvent, JobState, Value
from engine.whole_file import write_whole

MAX_FILE_BYTES = 2 * 1024 * 1024
_ENDING_BYTES = 256 * 1024
"""Holds the last line of any file: a line of log and a job with its error."""
_SUFFIX = ".jsonl"

log = logging.getLogger(__name__)


class _Entry(Value):
    """A line of a file."""

    seq: int
    at: datetime
    line: str | None = None
    job: Job | None = None


class JobFiles:
    """The files of ``folder``. What is called from the event loop returns at once; the rest belongs into a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="jobs")
        self._writers: dict[str, _Writer] = {}  # touched by the thread only
        self._unwritten: dict[str, _Entry] = {}  # how jobs ended whose writers could not write it

    # --- from the event loop

    def add(self, event: JobEvent) -> None:
        """Write it down soon. Mere progress is not kept."""
        marks = event.seq == 1 or event.job.state is not JobState.RUNNING
        if event.line is not None or marks:
            job = event.job.model_copy(update={"retryable": False}) if marks else None
            entry = _Entry(seq=event.seq, at=event.at, line=event.line, job=job)
            ended = event.job.state is not JobState.RUNNING
            self._thread.submit(self._write, event.job_id, entry, ended).add_done_callback(_tell_fault)

    def remove(self, job_id: str) -> None:
        self._thread.submit(self._remove, job_id).add_done_callback(_tell_fault)

    def load(self) -> Future[list[Job]]:
        """All jobs, the oldest first. One that has no end is given it: failed, since its engine is no more."""
        return self._thread.submit(self._load)

    def events(self, job_id: str) -> Future[list[JobEvent]]:
        """Of a job that has ended; its result raises NotFoundError where the file has gone."""
        return self._thread.submit(self._events, job_id)

    def has_end(self, job_id: str) -> Future[bool]:
        """Whether the log of a job is on disk to its end; a line that can't be written is the last of its log."""
        return self._thread.submit(self._has_end, job_id)

    def close(self) -> Future[None]:
        """Done once all is written. Nothing may be called after it."""
        last = self._thread.submit(self._close)
        self._thread.shutdown(wait=False)
        return last

    # --- in the thread

    def _path(self, job_id: str) -> Path:
        return self._folder / f"{job_id}{_SUFFIX}"

    def _write(self, job_id: str, entry: _Entry, ended: bool) -> None:
        writer = self._writers.setdefault(job_id, _Writer(self._path(job_id)))
        if ended:
            self._unwritten[job_id] = entry
        else:
            writer.write(entry)
        self._write_ends()

    def _write_ends(self) -> None:
        for job_id, entry in list(self._unwritten.items()):
            if self._writers[job_id].write(entry, last=True):
                del self._unwritten[job_id]
                self._writers.pop(job_id).close()

    def _remove(self, job_id: str) -> None:
        self._unwritten.pop(job_id, None)
        if (writer := self._writers.pop(job_id, None)) is not None:
            writer.close()
        try:
            self._path(job_id).unlink(missing_ok=True)
        except OSError as error:
            log.warning("the log of job %s stays on disk: %s", job_id, error)

    def _load(self) -> list[Job]:
        found = [job for path in self._folder.glob(f"*{_SUFFIX}") if (job := self._ended_job(path)) is not None]
        return sorted(found, key=lambda job: job.started)

    def _has_end(self, job_id: str) -> bool:
        try:
            newest = _newest(self._path(job_id))
        except OSError:
            return False
        return newest is not None and newest.job is not None and newest.job.state is not JobState.RUNNING

    def _ended_job(self, path: Path) -> Job | None:
        try:
            with path.open("rb") as file:
                head = next(_entries(file.readline()), None)
            if head is None or head.job is None or head.job.id != path.stem:
                log.warning("%s is not the log of a job, and is left alone", path)
                return None
            newest = _newest(path) or head
            if newest.job is not None and newest.job.state is not JobState.RUNNING:
                return newest.job
            end = _killed(head.job, newest)
            with _Writer(path) as writer:
                writer.write(end, last=True)
        except OSError as error:
            log.warning("the log of a job can't be read: %s", error)
            return None
        return end.job

    def _events(self, job_id: str) -> list[JobEvent]:
        events: list[JobEvent] = []
        job: Job | None = None
        try:
            data = self._path(job_id).read_bytes()
        except OSError as error:
            raise NotFoundError(f"The log of job {job_id} can't be read: {error}", remedy="It is lost") from None
        for entry in _entries(data):
            job = entry.job or job
            if job is not None:
                events.append(JobEvent(job_id=job_id, seq=entry.seq, at=entry.at, line=entry.line, job=job))
        return events

    def _close(self) -> None:
        self._write_ends()
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


class _Writer:
    """Appends to one file, and drops the older half of a log that grows too long."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None
        self._failed = False
        self._lines = 0
        self._began: Job | None = None

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, entry: _Entry, *, last: bool = False) -> bool:
        """Whether it is written. The ``last`` line is, even where the file can't be kept short."""
        self._began = self._began or entry.job
        try:
            file = self._file or self._open()
            if not last and (self._lines > 2 * MAX_EVENTS or file.tell() > MAX_FILE_BYTES):
                self._shorten()
                file = self._open()
            if not file.tell() and entry.job is None:  # the line that told the job is missing
                entry = entry.model_copy(update={"job": self._began})
            _append(file, _encoded(entry))
            self._lines += 1
        except OSError as error:
            self.close()
            if not self._failed:
                log.warning("the log of a job is not kept whole on disk: %s: %s", self._path, error)
            self._failed = True
            return False
        return True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> FileIO:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = FileIO(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "r+")
        end = self._file.seek(0, os.SEEK_END)
        if end and os.pread(self._file.fileno(), 1, end - 1) != b"\n":
            _append(self._file, b"\n")  # a killed engine's last line was cut short
        return self._file

    def _shorten(self) -> None:
        """Keep the newest lines, of which the first now tells the job."""
        self.close()
        entries = list(_entries(self._path.read_bytes()))
        kept: list[bytes] = []
        room = MAX_FILE_BYTES // 2
        for entry in reversed(entries[-MAX_EVENTS:]):
            line = _encoded(entry)
            room -= len(line)
            if room < 0 and kept:
                break
            kept.append(line)
        first = entries[len(entries) - len(kept)].model_copy(update={"job": entries[0].job})
        kept[-1] = _encoded(first)
        write_whole(self._path, b"".join(reversed(kept)), 0o600)
        self._lines = len(kept)


def _append(file: FileIO, data: bytes) -> None:
    """All of it, or as far as that can be nothing. Raises OSError."""
    end = file.tell()
    left = memoryview(data)
    try:
        while left:
            left = left[file.write(left) or 0 :]
    except OSError:
        with suppress(OSError):  # else it is a line that was cut short
            file.truncate(end)
        raise


def _encoded(entry: _Entry) -> bytes:
    return entry.model_dump_json(exclude_none=True).encode() + b"\n"


def _entries(data: bytes, *, backwards: bool = False) -> Iterator[_Entry]:
    """Lines that are whole; the first and last may be cut."""
    lines = data.split(b"\n")
    for line in reversed(lines) if backwards else lines:
        try:
            yield _Entry.model_validate_json(line)
        except ValidationError:
            continue


def _newest(path: Path) -> _Entry | None:
    """The last line that is whole. Raises OSError."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _ENDING_BYTES))
        return next(_entries(file.read(), backwards=True), None)


def _killed(job: Job, last: _Entry) -> _Entry:
    """The end of a job whose engine ended before it."""
    update = {
        "state": JobState.FAILED,
        "ended": last.at,
        "step": "",
        "error": "The engine was killed while it ran",
        "remedy": "Start it once more; what it had begun is cleared away when an engine opens",
    }
    ended = job.model_copy(update=update)
    return _Entry(seq=last.seq + 1, at=datetime.now(UTC), line=ended.error, job=ended)


def _tell_fault(done: Future[None]) -> None:
    if (fault := done.exception()) is not None:
        log.error("the log of a job was not written", exc_info=fault)
