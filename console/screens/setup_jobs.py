"""The wizard's work: begins jobs of the engine, follows the newest, stops it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from console.build_series import Begin, Build, BuildSeries
from console.followed_job import FollowedJob
from console.quantities import count
from console.screens.confirm import ConfirmDialog
from console.screens.setup_undo import SetupUndoDialog
from console.screens.walk_screen import WalkScreen
from console.setup_stages import Stage
from console.setup_work import applying, consequences, foremost, making, own_jobs
from engine.errors import VmdeckError
from engine.models import Job, JobState

FOLLOW = "follow"
START = "start"


class SetupJobs(WalkScreen):
    """Part of ``SetupScreen``."""

    def __init__(self) -> None:
        super().__init__()
        self._followed: FollowedJob | None = None
        self._series = BuildSeries()
        self._others: frozenset[str] | None = None

    def _take_jobs(self, jobs: Sequence[Job]) -> None:
        """Follow the newest that is the wizard's; another that has ended may have made what it looks for."""
        own = own_jobs(jobs, self._walk, self._series.begun)
        others = frozenset(job.id for job in jobs if job not in own and job.state is not JobState.RUNNING)
        self._look_due |= self._others is not None and not others <= self._others
        self._others = others
        self._take_job(foremost(own))

    def _take_job(self, job: Job | None) -> None:
        if job is None:
            self._walk = replace(self._walk, job=None, origin=None)
            return
        followed = self._followed
        if followed is None or followed.job.id != job.id:
            self._look_due |= followed is not None  # it ended while nobody looked, and changed things
            followed = self._followed = FollowedJob(job)
            self._walk = replace(self._walk, job=job, origin=None)
        self._note_job(followed.job if followed.is_whole else job)
        if not followed.is_whole and not any(each.group == FOLLOW and each.is_running for each in self.workers):
            self.run_worker(self._follow(followed), group=FOLLOW, exclusive=True, exit_on_error=False)

    async def _follow(self, followed: FollowedJob) -> None:
        """A stream that breaks is taken up again by the next poll that gets an answer, which tells of the break."""
        self._draw_timer.resume()
        try:
            await followed.follow(self.app.connection)
        except VmdeckError:
            return
        self._note_job(followed.job)
        self.action_refresh_now()

    def _note_job(self, job: Job) -> None:
        """A job that goes on to another step, or ends, has changed the host: look again."""
        old, stage_before = self._walk.job, self._walk.job_stage
        self._walk = replace(self._walk, job=job)
        stage = self._walk.job_stage
        if old is not None and old.state is JobState.RUNNING and old != job:
            ended = job.state is not JobState.RUNNING
            self._look_due |= ended or old.step != job.step
            if ended:
                self._walk = replace(self._walk, stale=True)
            if ended and job.state is JobState.DONE and self._at is stage:
                self._placed = False  # the next look says where things stand now
            elif self._at is stage_before and stage is not None:
                self._go(stage)
        self._show()

    def _start(self, begin: Begin, stage: Stage, *, rest: Sequence[Build] = ()) -> None:
        """Start work as a job of the engine, and stay with it; ``rest`` follows when it is done."""

        async def start() -> None:
            try:
                job = await begin(await self.app.connection.opened())
            finally:
                self._walk = replace(self._walk, starting=False)
                self._show()
            self._series.begun.add(job.id)
            self._followed = FollowedJob(job)
            self._walk = replace(self._walk, job=job, origin=stage, queued=len(rest))
            if rest:
                self.app.run_worker(self._go_on(job, rest), group="series", exit_on_error=False)
            self._walk_to(stage)
            self._take_job(job)

        if self._walk.is_free:  # a question may have stood here while another console began
            self._walk = replace(self._walk, starting=True)
            self._show()
            self.run_worker(start(), group=START, exit_on_error=False)

    async def _go_on(self, job: Job, rest: Sequence[Build]) -> None:
        """A worker of the app, since the series goes on wherever the operator looks; its failure is told as here."""
        failure = await self._series.go_on(self.app.connection, job, rest)
        if failure is not None:
            self.show_failure(failure)

    def action_apply(self) -> None:
        chosen = self._walk.chosen
        if not chosen or not self._walk.is_free:
            return
        begin = applying(self._walk)

        def answered(yes: bool | None) -> None:
            if yes:
                self._start(begin, Stage.APPLY)

        heading = f"Apply {count(len(chosen), 'step')}?"
        self.app.push_screen(ConfirmDialog(heading, consequences(chosen), yes="Apply"), answered)

    def _make(self) -> None:
        builds = making(self._walk, self._at)
        if builds:
            self._start(builds[0].begin, self._at, rest=builds[1:])

    def action_cancel_job(self) -> None:
        job = self._walk.job
        if job is None or not self._walk.busy:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.ask(self._cancel(job.id), "cancel")

        text = "The step under way is stopped; what is done stays, and can be gone on with."
        self.app.push_screen(ConfirmDialog(f"Stop {job.title}?", text, yes="Stop"), answered)

    async def _cancel(self, job_id: str) -> None:
        api = await self.app.connection.opened()
        await api.cancel_job(job_id)
        self.action_refresh_now()

    def action_undo(self) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                self._start(lambda api: api.undo_setup(), Stage.APPLY)

        self.app.push_screen(SetupUndoDialog(), answered)
