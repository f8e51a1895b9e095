"""Long work (setup, builds, snapshots) as jobs that outlive the view which started them.

The board owns one task per job, keeps what it logs, lets any number of viewers follow, and ends all of it on close.
What the work does is the caller's: a function that is given a ``JobContext`` to report to.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime

from engine.errors import InternalError, NotFoundError, NotReadyError, VmdeckError
from engine.models import Job, JobEvent, JobState

MAX_FINISHED = 100
MAX_EVENTS = 2000  # per job; a viewer who comes later than that misses the first ones
MAX_LINE = 4000  # characters

log = logging.getLogger(__name__)

Work = Callable[["JobContext"], Awaitable[str | None]]
OnEnd = Callable[[Job], Awaitable[None]]


class JobContext:
    """What the work reports to, from the event loop or from a thread: log lines, how far it is, what it does now."""

    def __init__(self, record: _Record) -> None:
        self._record = record
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    @property
    def job_id(self) -> str:
        return self._record.job.id

    def __call__(self, line: str, fraction: float | None = None) -> None:
        """Log a line (or several) and, where it is known, say which part of the whole is done, 0 to 1."""
        self._tell(lambda: self._record.log(line, fraction))

    def step(self, text: str) -> None:
        """Say what is being done now; it is logged too."""
        self._tell(lambda: self._record.log(text, None, step=text))

    def _tell(self, report: Callable[[], None]) -> None:
        if threading.get_ident() == self._thread:
            report()
        else:
            self._loop.call_soon_threadsafe(report)


class JobBoard:
    """All jobs of this engine, the last MAX_FINISHED finished ones included. ``on_end`` is awaited after each job."""

    def __init__(self, on_end: OnEnd | None = None) -> None:
        self._on_end = on_end
        self._records: dict[str, _Record] = {}
        self._turns: dict[str, _Turn] = {}
        self._closed = False

    def start(self, kind: str, title: str, work: Work, *, exclusive_key: str | None = None) -> Job:
        """Start ``work`` and return at once. Its result names what it made.

        Jobs with the same ``exclusive_key`` take turns, in the order they were started. Needs a running event loop.
        Raises NotReadyError once the board is closed.
        """
        if self._closed:
            raise NotReadyError("The engine is shutting down and starts no more jobs", remedy="Start it again.")
        job = Job(
            id=secrets.token_hex(6),
            kind=kind,
            title=title,
            state=JobState.RUNNING,
            started=datetime.now(UTC),
            fraction=None,
            result=None,
        )
        record = _Record(job)
        record.log(f"{title} ...", None)
        record.work = asyncio.create_task(self._work(record, work, exclusive_key), name=f"job {job.id}")
        record.watch = asyncio.create_task(self._watch(record, record.work), name=f"end of job {job.id}")
        self._records[job.id] = record
        return record.job

    def jobs(self) -> list[Job]:
        """The newest first."""
        return [record.job for record in reversed(self._records.values())]

    def job(self, job_id: str) -> Job:
        """Raises NotFoundError."""
        return self._record(job_id).job

    async def events(self, job_id: str, *, after: int = 0) -> AsyncGenerator[JobEvent]:
        """Events with ``seq`` over ``after`` that are still kept, then new ones until the job has ended.

        A gap in ``seq`` means that the viewer was slower than MAX_EVENTS allow. Raises NotFoundError.
        """
        record = self._record(job_id)
        while True:
            grown, ended = record.grown, record.ended
            for event in record.events_after(after):
                after = event.seq
                yield event
            if ended:
                return
            await grown.wait()

    def holder(self, exclusive_key: str) -> Job | None:
        """The job whose turn it is with this key."""
        turn = self._turns.get(exclusive_key)
        return turn.line[0].job if turn else None

    async def wait(self, job_id: str) -> Job:
        """Return the job once it has ended. Raises NotFoundError."""
        record = self._record(job_id)
        await _over(record)
        return record.job

    async def cancel(self, job_id: str) -> Job:
        """Cancel, wait until the work has cleaned up, return the job. Nothing changes for one that has ended."""
        record = self._record(job_id)
        _cancel(record)
        await _over(record)
        return record.job

    async def close(self) -> None:
        """Cancel all jobs and wait for their cleanup; no new ones are taken. Idempotent."""
        self._closed = True
        records = list(self._records.values())
        for record in records:
            _cancel(record)
        for record in records:
            await _over(record)

    def _record(self, job_id: str) -> _Record:
        try:
            return self._records[job_id]
        except KeyError:
            raise NotFoundError(
                f"No job {job_id[:64]!r}", remedy=f"Jobs are kept until {MAX_FINISHED} more have ended; list them."
            ) from None

    async def _watch(self, record: _Record, work: asyncio.Task[str | None]) -> None:
        """Turn how the work ended into the job's end. A task of its own: cancelling the work leaves it alone."""
        await asyncio.wait({work})
        if work.cancelled():
            record.end(JobState.CANCELLED)
        elif (error := work.exception()) is None:
            record.end(JobState.DONE, result=work.result())
        else:
            fault = self._fault(record.job, error)
            record.end(JobState.FAILED, error=fault.message, remedy=fault.remedy)
        self._forget_oldest()
        await self._tell_end(record.job)

    def _fault(self, job: Job, error: BaseException) -> VmdeckError:
        if isinstance(error, VmdeckError):
            return error
        log.error("job %s (%s) failed", job.id, job.kind, exc_info=error)
        message = f"{InternalError.title}: {type(error).__name__}: {error}"
        return InternalError(message, remedy="The engine's log has the details.")

    async def _work(self, record: _Record, work: Work, key: str | None) -> str | None:
        if key is None:
            return await work(JobContext(record))
        turn = self._turns.setdefault(key, _Turn())
        turn.line.append(record)
        try:
            if turn.line[0] is not record:
                waiting = f"waiting for {turn.line[0].job.title}"
                record.log(waiting, None, step=waiting)
            async with turn.lock:
                record.log(None, None, step="")
                return await work(JobContext(record))
        finally:
            turn.line.remove(record)
            if not turn.line:
                del self._turns[key]

    def _forget_oldest(self) -> None:
        finished = sorted((job.ended, job.id) for job in self.jobs() if job.ended is not None)
        for _, job_id in finished[: max(0, len(finished) - MAX_FINISHED)]:
            del self._records[job_id]

    async def _tell_end(self, job: Job) -> None:
        if self._on_end is None:
            return
        try:
            await self._on_end(job)
        except Exception:
            log.exception("job %s has ended, but was not recorded", job.id)


class _Turn:
    """Jobs with one exclusive key, in the order they came: the first holds the lock, the others wait for it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.line: deque[_Record] = deque()


class _Record:
    """One job as it changes: its newest value and the events so far. Lives on the event loop only."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.work: asyncio.Task[str | None] | None = None
        self.watch: asyncio.Task[None] | None = None
        self.grown = asyncio.Event()  # replaced at each event, so that every viewer sees each one
        self._events: deque[JobEvent] = deque(maxlen=MAX_EVENTS)
        self._seq = 0

    @property
    def ended(self) -> bool:
        return self.job.state is not JobState.RUNNING

    def events_after(self, seq: int) -> list[JobEvent]:
        return [event for event in self._events if event.seq > seq]

    def log(self, text: str | None, fraction: float | None, *, step: str | None = None) -> None:
        """Add an event per line. A thread may report once more after the end; nobody follows then."""
        if self.ended:
            return
        update: dict[str, object] = {}
        if fraction is not None:
            update["fraction"] = min(1.0, max(0.0, fraction))
        if step is not None:
            update["step"] = step
        if update:
            self.job = self.job.model_copy(update=update)
        for line in text.splitlines() if text else (None,):
            self._append(line)

    def end(self, state: JobState, *, result: str | None = None, error: str | None = None, remedy: str = "") -> None:
        update: dict[str, object] = {"state": state, "ended": datetime.now(UTC), "step": ""}
        if state is JobState.DONE:
            update |= {"fraction": 1.0, "result": result}
        if error is not None:
            update |= {"error": error, "remedy": remedy or None}
        self.job = self.job.model_copy(update=update)
        self._append(error if error is not None else state.value)

    def _append(self, line: str | None) -> None:
        self._seq += 1
        now = datetime.now(UTC)
        text = line[:MAX_LINE] if line is not None else None
        self._events.append(JobEvent(job_id=self.job.id, seq=self._seq, at=now, line=text, job=self.job))
        grown, self.grown = self.grown, asyncio.Event()
        grown.set()


def _cancel(record: _Record) -> None:
    """Once only: a second cancellation would interrupt the work's cleanup."""
    if record.work is not None and not record.work.cancelling():
        record.work.cancel()


async def _over(record: _Record) -> None:
    """Wait until the job has ended and was recorded; being cancelled here does not cancel it."""
    if record.watch is not None:
        await asyncio.wait({record.watch})
