"""Long work of the engine: how far it is, its log, and the key that stops it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.containers import Container

from console.actions import bindings
from console.followed_job import FollowedJob
from console.job_states import JOB_STATES
from console.output_log import OutputLog
from console.quantities import age, count, moment, short_age
from console.screens.confirm import ConfirmDialog
from console.screens.list_screen import ListScreen
from console.shares import share
from console.widgets.detail_pane import Detail, DetailPane, Field
from console.widgets.filter_field import FilterField
from console.widgets.heading import Heading
from console.widgets.line_table import Cell, Column, LineTable, Row
from console.widgets.output_view import OutputView
from engine.api import EngineApi
from engine.models import Job, JobState

FOLLOW = "follow"
DRAW_EVERY_S = 0.25
_BAR_CELLS = 10
_MADE = {"image": "images", "snapshot": "snapshots"}
"""The area that shows what a kind of job makes."""


def progress(fraction: float | None) -> str:
    """``▇▇▇▇▇▁▁▁▁▁  50 %``, or nothing where the job can't tell."""
    reached = share(fraction)
    if reached is None:
        return ""
    filled = round(reached * _BAR_CELLS)
    return f"{'▇' * filled}{'▁' * (_BAR_CELLS - filled)} {reached * 100:3.0f} %"


class JobsScreen(ListScreen[Job]):
    """The log of the job under the cursor follows below, or beside where there is room."""

    MODE = "jobs"
    BINDINGS: ClassVar = bindings("jobs")
    HEADING = "Jobs"
    COLUMNS = (
        Column("STATE", 11),
        Column("JOB", 22, priority=9, most=40),
        Column("PROGRESS", 16, priority=8),
        Column("RATE", 10, right=True, priority=3),
        Column("LEFT", 6, right=True, priority=4),
        Column("TIME", 6, right=True, priority=7),
        Column("STEP", 0, priority=6),
    )
    EMPTY = ("There was no long work yet.", "Setup (8) and new snapshots (4, then n) appear here.")
    NEEDS_ROW = frozenset(("detail", "cancel_job", "retry_job", "show_result"))

    def __init__(self) -> None:
        super().__init__()
        self._followed: FollowedJob | None = None
        self._reading = False

    def compose_body(self) -> ComposeResult:
        yield Heading(self.HEADING, id="list-heading")
        yield FilterField()
        with Container(id="jobs-body"):
            yield LineTable(self.COLUMNS, empty=("…",))
            with Container(id="job"):
                yield Heading("Log", id="log-heading")
                yield DetailPane()
                yield OutputView(OutputLog(), hint="the log of the job above")

    def on_mount(self) -> None:
        self._draw_timer = self.set_interval(DRAW_EVERY_S, self._draw, pause=True)

    async def fetch(self, api: EngineApi) -> Sequence[Job]:
        jobs = await api.jobs()
        return sorted(jobs, key=lambda job: job.started, reverse=True)

    def key_of(self, item: Job) -> str:
        return item.id

    def row_of(self, item: Job) -> Row:
        ended = item.ended or self.app.now()
        return Row(
            item.id,
            (
                JOB_STATES[item.state].cell,
                Cell(item.title),
                Cell(progress(item.fraction), "accent" if item.state is JobState.RUNNING else "muted"),
                Cell(item.rate or ""),
                Cell("" if item.remaining_s is None else short_age(item.remaining_s)),
                Cell(short_age((ended - item.started).total_seconds()), "muted"),
                Cell(item.step if item.state is JobState.RUNNING else item.result or item.error or "", "muted"),
            ),
        )

    def note_of(self, items: Sequence[Job]) -> str:
        running = sum(job.state is JobState.RUNNING for job in items)
        return f"{count(len(items), 'job')}, {running} running" if items else ""

    def detail_of(self, item: Job) -> Detail:
        return Detail(
            item.title,
            (
                Field("Job", f"{item.title} ({item.kind} {item.id})"),
                Field("State", item.state.value),
                Field("Step", item.step),
                Field("Progress", _pace(item)),
                Field("Error", item.error or "", "error"),
                Field("Remedy", item.remedy or ""),
                Field("Result", item.result or "", "success"),
                Field("Started", moment(item.started)),
                Field("Ended", moment(item.ended) if item.ended else ""),
                Field("Repeats", f"job {item.retry_of}" if item.retry_of else ""),
            ),
        )

    def show_detail(self) -> None:
        job = self.current
        pane = self.query_one(DetailPane)
        failed = job is not None and (job.error or job.remedy)
        pane.display = bool(failed)
        if job is not None and failed:
            pane.show(Detail(job.title, (Field("Error", job.error or "", "error"), Field("Remedy", job.remedy or ""))))
        self.query_one("#log-heading", Heading).show(_heading(job) if job is not None else "")
        self._follow(job)

    # --- log

    def _follow(self, job: Job | None) -> None:
        """Follow the log of this job, if it is not followed already; go on with it where that was left."""
        if job is None:
            self._leave_log()
            self._show_log(None)
        elif self._followed is None or self._followed.job.id != job.id:
            self._show_log(FollowedJob(job))
            self._read_on()
        elif not self._reading:
            self._read_on()

    def _show_log(self, followed: FollowedJob | None) -> None:
        if followed is not self._followed:
            self._followed = followed
            self.query_one(OutputView).show(followed.log if followed is not None else OutputLog())

    def _read_on(self) -> None:
        followed = self._followed
        if followed is not None and not followed.is_whole:
            self._reading = True
            self.run_worker(self._read(followed), group=FOLLOW, exclusive=True, exit_on_error=False)

    def _leave_log(self) -> None:
        self._reading = False
        self.workers.cancel_group(self, FOLLOW)

    async def _read(self, followed: FollowedJob) -> None:
        await followed.follow(self.app.connection)
        self.action_refresh_now()

    def _draw(self) -> None:
        if not self.app.output_queued:
            self.query_one(OutputView).flush()

    def on_screen_resume(self) -> None:
        self._draw_timer.resume()

    def on_screen_suspend(self) -> None:
        self._leave_log()
        self._draw_timer.pause()

    # --- actions

    def action_cancel_job(self) -> None:
        if (job := self.current) is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.ask(self._cancel(job.id), "cancel")

        text = "What it did so far may stay; it can be started again."
        self.app.push_screen(ConfirmDialog(f"Stop {job.title}?", text, yes="Stop"), answered)

    async def _cancel(self, job_id: str) -> None:
        api = await self.app.connection.opened()
        await api.cancel_job(job_id)
        self.action_refresh_now()

    def action_retry_job(self) -> None:
        if (job := self.current) is not None:
            self.ask(self._retry(job.id), "retry")

    async def _retry(self, job_id: str) -> None:
        api = await self.app.connection.opened()
        again = await api.retry_job(job_id)
        self.select(again.id)

    def action_show_result(self) -> None:
        """Go to the image or snapshot that the job made."""
        if (job := self.current) is not None and job.result is not None:
            self.app.show_row(_MADE[job.kind], job.result)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        allowed = super().check_action(action, parameters)
        job = self.current if self.is_mounted else None
        if allowed and job is not None and action in _POSSIBLE:
            return _POSSIBLE[action](job) or None
        return allowed


_POSSIBLE: dict[str, Callable[[Job], bool]] = {
    "cancel_job": lambda job: job.state is JobState.RUNNING,
    "retry_job": lambda job: job.retryable,
    "show_result": lambda job: job.result is not None and job.kind in _MADE,
}
"""When an action on the job under the cursor makes sense."""


def _left(job: Job) -> str:
    return "" if job.remaining_s is None else f"about {age(job.remaining_s)} left"


def _pace(job: Job) -> str:
    return ", ".join(filter(None, (progress(job.fraction), job.rate, _left(job))))


def _heading(job: Job) -> str:
    """Over the log, where a narrow table has no room for it."""
    return ", ".join(filter(None, (job.title, job.rate, _left(job))))
