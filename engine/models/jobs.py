"""Long work that the engine does, and its log."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from engine.models.value import Value
from engine.states import JobState


class Job(Value):
    """Long work that the engine does: setup, builds, snapshots. Outlives the view that started it."""

    id: str
    kind: str
    title: str
    state: JobState
    started: datetime
    ended: datetime | None = None
    step: str = ""
    fraction: float | None = Field(default=None, ge=0, le=1)
    error: str | None = None
    remedy: str | None = None
    result: str | None = Field(default=None, description="name of what it made")
    rate: str | None = Field(default=None, description='how fast it goes now, with its unit: "3.1 MiB/s"')
    remaining_s: float | None = Field(default=None, ge=0, description="an estimate, while it runs")
    retryable: bool = Field(default=False, description="whether the engine still knows how to start it again")
    retry_of: str | None = Field(default=None, description="id of the job that this one repeats")


class JobEvent(Value):
    """A line of log and/or new progress of a job; ``seq`` counts from 1 so that a viewer can resume."""

    job_id: str
    seq: int
    at: datetime
    line: str | None = None
    job: Job
