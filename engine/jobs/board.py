"""All jobs of an engine: started, followed, cancelled, repeated, remembered.

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
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

from engine.errors import ConflictError, InternalError, NotFoundError, NotReadyError, VmdeckError
from engine.jobs.files import JobFiles
from engine.jobs.record import Order, Record
from engine.models import Job, JobEvent, JobState
from engine.rootfs.progress import bytes_moved

MAX_FINISHED = 100

log = logging.getLogger(__name__)

Work = Callable[["JobContext"], Awaitable[str | None]]


class JobContext:
    """What the work reports to, from the event loop or from a thread: log lines, how far it is, what it does now."""

    def __init__(self, record: Record) -> None:
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

    def transferred(self, done_bytes: int) -> None:
        """Say how much of a file is there, as often as one likes; from it follows how fast the job goes."""
        self._tell(lambda: self._record.moved(done_bytes))

    def _tell(self, report: Callable[[], None]) -> None:
        if threading.get_ident() == self._thread:
            report()
        else:
            self._loop.call_soon_threadsafe(report)


class JobBoard:
    """All jobs of this engine, the last MAX_FINISHED finished ones included.

    With ``files`` finished jobs are there again after the engine has ended, even a killed one.
    """

    def __init__(self, files: JobFiles | None = None) -> None:
        self._files = files
        self._records: dict[str, Record] = {}
        self._turns: dict[str, _Turn] = {}
        self._closed = False

    async def open(self) -> None:
        """Take up the finished jobs of engines before this one. To be called before any other."""
        if self._files is None:
            return
        for job in await asyncio.wrap_future(self._files.load()):
            self._records[job.id] = Record(job, None, self._files.add)
        self._forget_oldest()

    def start(self, kind: str, title: str, work: Work, *, exclusive_key: str | None = None) -> Job:
        """Start ``work`` and return at once. Its result names what it made.

        Jobs with the same ``exclusive_key`` take turns, in the order they were started. Needs a running event loop.
        Raises NotReadyError once the board is closed.
        """
        return self._start(Order(kind, title, work, exclusive_key))

    def retry(self, job_id: str) -> Job:
        """Start what a job did once more. Raises ConflictError where that can't be, NotFoundError, NotReadyError."""
        record = self._record(job_id)
        if not record.ended:
            raise ConflictError(f"{record.job.title}: it still runs", remedy="Wait for its end, or cancel it first")
        if record.order is None or not record.job.retryable:
            why = "it is done" if record.job.state is JobState.DONE else "it was started by an engine that has ended"
            raise ConflictError(
                f"{record.job.title} can't be repeated: {why}", remedy="Start it as it was started then"
            )
        return self._start(record.order, retry_of=job_id)

    def _start(self, order: Order, *, retry_of: str | None = None) -> Job:
        if self._closed:
            raise NotReadyError("The engine is shutting down and starts no more jobs", remedy="Start it again.")
        job = Job(
            id=secrets.token_hex(6),
            kind=order.kind,
            title=order.title,
            state=JobState.RUNNING,
            started=datetime.now(UTC),
            retry_of=retry_of,
        )
        record = Record(job, order, self._files.add if self._files else _unheard)
        record.log(f"{order.title} ...", None)
        record.work = asyncio.create_task(self._work(record, order), name=f"job {job.id}")
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
            events = record.events_after(after)
            for event in await self._events_on_disk(record, after) if events is None else events:
                after = event.seq
                yield event
            if ended:
                return
            await grown.wait()

    async def _events_on_disk(self, record: Record, after: int) -> list[JobEvent]:
        """Raises NotFoundError where the file has gone."""
        job = record.job
        if self._files is None:
            return []
        events = await asyncio.wrap_future(self._files.events(job.id))
        # The file's end does not know that this engine may repeat the job.
        return [each.model_copy(update={"job": job}) if each.job.ended else each for each in events if each.seq > after]

    def turn(self, context: JobContext, exclusive_key: str) -> AbstractAsyncContextManager[None]:
        """For work that learns under way what it needs for itself: a turn with this key, beside that of its start.

        So that no two jobs wait for each other, one that has a turn with a snapshot's key may wait for one with an
        image's, not the other way round.
        """
        return self._turn(self._record(context.job_id), exclusive_key)

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
        again, self._closed = self._closed, True
        records = list(self._records.values())
        for record in records:
            _cancel(record)
        for record in records:
            await _over(record)
        if self._files is not None and not again:
            await asyncio.wrap_future(self._files.close())

    def _record(self, job_id: str) -> Record:
        try:
            return self._records[job_id]
        except KeyError:
            raise NotFoundError(
                f"No job {job_id[:64]!r}", remedy=f"Jobs are kept until {MAX_FINISHED} more have ended; list them."
            ) from None

    async def _watch(self, record: Record, work: asyncio.Task[str | None]) -> None:
        """Turn how the work ended into the job's end. A task of its own: cancelling the work leaves it alone."""
        await asyncio.wait({work})
        if work.cancelled():
            record.end(JobState.CANCELLED)
        elif (error := work.exception()) is None:
            record.end(JobState.DONE, result=work.result())
        else:
            fault = self._fault(record.job, error)
            record.end(JobState.FAILED, error=fault.message, remedy=fault.remedy)
        if self._files is not None and await asyncio.wrap_future(self._files.has_end(record.job.id)):
            record.forget_events()
        self._forget_oldest()

    def _fault(self, job: Job, error: BaseException) -> VmdeckError:
        if isinstance(error, VmdeckError):
            return error
        log.error("job %s (%s) failed", job.id, job.kind, exc_info=error)
        message = f"{InternalError.title}: {type(error).__name__}: {error}"
        return InternalError(message, remedy="The engine's log has the details.")

    async def _work(self, record: Record, order: Order) -> str | None:
        context = JobContext(record)
        bytes_moved.set(context.transferred)
        if (key := order.exclusive_key) is None:
            return await order.work(context)
        async with self._turn(record, key):
            return await order.work(context)

    @asynccontextmanager
    async def _turn(self, record: Record, key: str) -> AsyncGenerator[None]:
        turn = self._turns.setdefault(key, _Turn())
        turn.line.append(record)
        try:
            if turn.line[0] is not record:
                waiting = f"waiting for {turn.line[0].job.title}"
                record.log(waiting, None, step=waiting)
            async with turn.lock:
                record.log(None, None, step="")
                yield
        finally:
            turn.line.remove(record)
            if not turn.line:
                del self._turns[key]

    def _forget_oldest(self) -> None:
        finished = sorted((job.ended, job.id) for job in self.jobs() if job.ended is not None)
        for _, job_id in finished[: max(0, len(finished) - MAX_FINISHED)]:
            del self._records[job_id]
            if self._files is not None:
                self._files.remove(job_id)


class _Turn:
    """Jobs with one exclusive key, in the order they came: the first holds the lock, the others wait for it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.line: deque[Record] = deque()


def _cancel(record: Record) -> None:
    """Once only: a second cancellation would interrupt the work's cleanup."""
    if record.work is not None and not record.work.cancelling():
        record.work.cancel()


async def _over(record: Record) -> None:
    """Wait until the job has ended and its log is on disk; being cancelled here does not cancel it."""
    if record.watch is not None:
        await asyncio.wait({record.watch})


def _unheard(_event: JobEvent) -> None:
    """The events of a board that keeps nothing on disk."""
