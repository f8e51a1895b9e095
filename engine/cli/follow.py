"""Follows a job to its end: progress and log on stderr, Ctrl-C cancels the job and waits until it has cleaned up."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Generator
from contextlib import aclosing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from engine.errors import VmdeckError
from engine.printable import printable

if TYPE_CHECKING:
    from engine.api import EngineApi
    from engine.models import Job, JobEvent


class JobFailedError(VmdeckError):
    """A job ended without doing what was asked; the job itself says why."""

    kind = "job-failed"
    title = "The job failed"
    exit_code = 1


class JobView(Protocol):
    def show(self, event: JobEvent) -> None: ...


async def follow(engine: EngineApi, job: Job) -> Job:
    """The job as it ended. Raises JobFailedError if it failed or someone cancelled it."""
    from engine.models import JobState

    with _view() as view:
        seen = 0
        try:
            async with aclosing(engine.job_events(job.id)) as events:
                async for event in events:
                    job, seen = event.job, event.seq
                    view.show(event)
        except asyncio.CancelledError:
            await engine.cancel_job(job.id)
            async with aclosing(engine.job_events(job.id, after=seen)) as events:
                async for event in events:
                    view.show(event)
            raise
    if job.state == JobState.DONE:
        return job
    reason = job.error or f"it was {job.state.value}"
    raise JobFailedError(f"{job.title}: {reason}", remedy=job.remedy or "", job_id=job.id)


@contextmanager
def _view() -> Generator[JobView]:
    if not sys.stderr.isatty():
        yield _PlainView()
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    pace = TextColumn("{task.fields[pace]}")
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), pace)
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=None, pace="")

        class BarView:
            def show(self, event: JobEvent) -> None:
                if event.line is not None:
                    console.out(printable(event.line), highlight=False)
                progress.update(bar, description=escape(printable(event.job.step or event.job.title)))
                progress.update(bar, pace=_pace(event.job))
                if event.job.fraction is not None:
                    progress.update(bar, total=1.0, completed=event.job.fraction)

        yield BarView()


def _pace(job: Job) -> str:
    """How fast and how long still, as far as that is known."""
    left = None if job.remaining_s is None else f"{timedelta(seconds=round(job.remaining_s))} left"
    return ", ".join(each for each in (job.rate, left) if each)


class _PlainView:
    """One line of text per line of log."""

    def show(self, event: JobEvent) -> None:
        if event.line is not None:
            print(printable(event.line), file=sys.stderr, flush=True)
