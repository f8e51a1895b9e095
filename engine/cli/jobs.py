"""Commands for jobs, the long work of the engine: list, read the log, cancel, do once more."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.follow import follow
from engine.cli.listing import Columns, show_json
from engine.cli.listing import show as show_list
from engine.cli.reporting import reported
from engine.cli.session import with_engine
from engine.printable import printable

if TYPE_CHECKING:
    from engine.api import EngineApi
    from engine.models import Job

JobId = Annotated[str, typer.Argument(metavar="JOB", help="Its id, as listed.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def show(context: typer.Context, as_json: AsJson = False) -> None:
    """List long work: setup, image builds, snapshots; what is over, too."""
    if context.invoked_subcommand is not None:
        return
    columns: Columns[Job] = {
        "JOB": lambda job: job.id,
        "STATE": lambda job: job.state.value,
        "DONE": lambda job: "" if job.fraction is None else f"{job.fraction:.0%}",
        "RATE": lambda job: job.rate or "",
        "LEFT": lambda job: "" if job.remaining_s is None else f"{job.remaining_s:.0f} s",
        "STARTED": lambda job: f"{job.started:%Y-%m-%d %H:%M:%S}",
        "TITLE": lambda job: job.title,
        "NOW": lambda job: job.error or job.step,
    }
    with reported(as_json=as_json):
        show_list(with_engine(lambda engine: engine.jobs()), columns, as_json=as_json, empty="No jobs.")


def log(job: JobId) -> None:
    """Print the log of a job; of one that runs, until it ends. Ctrl-C leaves it running."""

    async def read(engine: EngineApi) -> None:
        async with aclosing(engine.job_events(job)) as events:
            async for event in events:
                if event.line is not None:
                    print(printable(event.line), flush=True)

    with_engine(read)


def cancel(job: JobId, as_json: AsJson = False) -> None:
    """Stop a job and wait until it has cleaned up."""
    _tell(with_engine(lambda engine: engine.cancel_job(job)), as_json=as_json)


def retry(job: JobId, as_json: AsJson = False) -> None:
    """Do once more what failed or was cancelled. Only the engine that did it, which still runs, knows how."""

    async def again(engine: EngineApi) -> Job:
        return await follow(engine, await engine.retry_job(job))

    _tell(with_engine(again), as_json=as_json)


def _tell(job: Job, *, as_json: bool) -> None:
    if as_json:
        show_json(job)
    else:
        print(printable(f"{job.title}: {job.state.value}"))
