"""One job as it changes: its newest value and the events so far. Lives on the event loop only."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from engine.jobs.pace import Pace
from engine.models import Job, JobEvent, JobState

MAX_EVENTS = 2000  # per job; a viewer who comes later than that misses the first ones
MAX_LINE = 4000  # characters


@dataclass(frozen=True, slots=True)
class Order:
    """How a job was started, to start it once more."""

    kind: str
    title: str
    work: Callable[..., Awaitable[str | None]]
    exclusive_key: str | None


class Record:
    """``told`` hears each event.

    Without an ``order`` the job is one of an engine before this one: it has ended, and its events are on disk.
    """

    def __init__(self, job: Job, order: Order | None, told: Callable[[JobEvent], None]) -> None:
        self._job = job
        self.order = order
        self._told = told
        self.work: asyncio.Task[str | None] | None = None
        self.watch: asyncio.Task[None] | None = None
        self.grown = asyncio.Event()  # replaced at each event, so that every viewer sees each one
        self._events: deque[JobEvent] | None = deque(maxlen=MAX_EVENTS) if order else None
        self._seq = 0
        self._pace = Pace()

    @property
    def job(self) -> Job:
        """The same value as long as nothing changes: thousands of events share it."""
        if not self.ended:
            pace = {"rate": self._pace.rate(), "remaining_s": self._pace.remaining_s()}
            if pace != {"rate": self._job.rate, "remaining_s": self._job.remaining_s}:
                self._job = self._job.model_copy(update=pace)
        return self._job

    @property
    def ended(self) -> bool:
        return self._job.state is not JobState.RUNNING

    def events_after(self, seq: int) -> list[JobEvent] | None:
        """None where they are no longer here, but on disk."""
        return None if self._events is None else [event for event in self._events if event.seq > seq]

    def forget_events(self) -> None:
        """For a job that has ended, once its log is on disk: there may be megabytes of them."""
        self._events = None

    def log(self, text: str | None, fraction: float | None, *, step: str | None = None) -> None:
        """Add an event per line. A thread may report once more after the end; nobody follows then."""
        if self.ended:
            return
        update: dict[str, object] = {}
        if fraction is not None:
            update["fraction"] = reached = min(1.0, max(0.0, fraction))
            self._pace.progressed(reached)
        if step is not None:
            update["step"] = _fit(step)
        if update:
            self._job = self._job.model_copy(update=update)
        for line in text.splitlines() if text else (None,):
            self._append(line)

    def moved(self, done_bytes: int) -> None:
        self._pace.moved(done_bytes)

    def end(self, state: JobState, *, result: str | None = None, error: str | None = None, remedy: str = "") -> None:
        update: dict[str, object] = {"state": state, "ended": datetime.now(UTC), "step": ""}
        update |= {"rate": None, "remaining_s": None}
        if state is JobState.DONE:
            update |= {"fraction": 1.0, "result": result}
        else:
            update["retryable"] = self.order is not None
        if error is not None:
            error = _fit(error)
            update |= {"error": error, "remedy": _fit(remedy) or None}
        self._job = self._job.model_copy(update=update)
        self._append(error if error is not None else state.value)

    def _append(self, line: str | None) -> None:
        self._seq += 1
        now = datetime.now(UTC)
        text = _fit(line) if line is not None else None
        event = JobEvent(job_id=self._job.id, seq=self._seq, at=now, line=text, job=self.job)
        if self._events is not None:
            self._events.append(event)
        self._told(event)
        grown, self.grown = self.grown, asyncio.Event()
        grown.set()


def _fit(text: str) -> str:
    """Cut, with a sign; and without what no JSON can hold, such as parts of a file's name that are no text."""
    short = text if len(text) <= MAX_LINE else f"{text[: MAX_LINE - 1]}…"
    return short.encode(errors="backslashreplace").decode()
